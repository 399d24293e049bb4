//! The signed links of each provider: what is shown of them, that renewed links are recognised, and what is not
//! a signature although its names suggest one.

use url::Url;

use super::{identity_url, key_url, shown_url};

/// Values of one signature, substituted for `{hex}` and the others.
const FIRST: [(&str, &str); 7] = [
    ("{hex}", "2481f30dd67f503f54d020ae3b5533b9987fae4e55f2b4e3926e08a3fa3ee24f"),
    ("{md5}", "dd63f95e739ed4b47427a129d21ef4e3"),
    ("{b64}", "9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE"),
    ("{m22}", "_e4Nc3iduzkWRm01TBBNYw"),
    ("{time}", "1767225600"),
    ("{hextime}", "65d903de"),
    ("{jwt}", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.Zm9vYmFyYmF6"),
];

/// The same, renewed.
const SECOND: [(&str, &str); 7] = [
    ("{hex}", "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"),
    ("{md5}", "5d41402abc4b2a76b9719d911017c592"),
    ("{b64}", "YDVTLEwYkR8HhZ7w0Fm1nQ2xJbKs5oUcA3gPi6tGvNe"),
    ("{m22}", "m0EMEkV3pNAKFB33gZuv_Q"),
    ("{time}", "1798761600"),
    ("{hextime}", "66e14a2f"),
    ("{jwt}", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIyIn0.YmF6YmFyZm9v"),
];

/// All parameters of a signature, as documented by the providers.
#[rustfmt::skip]
const SIGNED: &[(&str, &str)] = &[
    ("S3, V4", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F{time}%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date={time}&X-Amz-Expires=3600&X-Amz-Security-Token={b64}&X-Amz-SignedHeaders=host&X-Amz-Signature={hex}"),
    ("S3, small letters", "x-amz-algorithm=AWS4-HMAC-SHA256&x-amz-date={time}&x-amz-signature={hex}"),
    ("S3, V2", "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires={time}&Signature={b64}%3D"),
    ("Google, V4", "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=a%40b.iam.gserviceaccount.com%2F{time}&X-Goog-Date={time}&X-Goog-Expires=900&X-Goog-SignedHeaders=host&X-Goog-Signature={hex}"),
    ("Google, V2", "GoogleAccessId=a%40b.iam.gserviceaccount.com&Expires={time}&Signature={b64}"),
    ("Google Cloud CDN", "Expires={time}&KeyName=my-key&Signature={b64}="),
    ("Google Cloud CDN, prefix", "URLPrefix=aHR0cHM6Ly9o&Expires={time}&KeyName=my-key&Signature={b64}="),
    ("Google Media CDN", "edge-cache-token=Expires={time}~KeyName=k~Signature={b64}"),
    ("CloudFront", "Expires={time}&Signature={b64}~&Key-Pair-Id=K2JCJMDEHXQW5F"),
    ("CloudFront, policy", "Policy={b64}__&Signature={b64}&Key-Pair-Id=K2JCJMDEHXQW5F"),
    ("Azure, service", "sv=2022-11-02&st=2026-01-01&se={time}&sr=b&sp=r&sip=1.2.3.4&spr=https&sig={b64}%3D"),
    ("Azure, account", "sv=2022-11-02&ss=bfqt&srt=sco&sp=rl&se={time}&st={time}&spr=https&sig={b64}%3D"),
    ("Azure, delegation", "sp=r&sv=2022-11-02&sr=b&skoid={time}&sktid=t&skt={time}&ske={time}&sks=b&skv=2022-11-02&saoid=o&suoid=o&scid={time}&sdd=2&ses=s&se={time}&sig={b64}"),
    ("Azure, policy", "sr=c&si=mypolicy&sig={b64}%3D"),
    ("GitHub", "sp=r&sv=2018-11-09&sr=b&se={time}&sig={b64}&jwt={jwt}"),
    ("Alibaba OSS, V1", "OSSAccessKeyId=LTAI5t&Expires={time}&Signature={b64}&security-token={b64}"),
    ("Alibaba OSS, V4", "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=LTAI5t&x-oss-date={time}&x-oss-expires=60&x-oss-additional-headers=host&x-oss-signature={hex}"),
    ("Alibaba CDN", "auth_key={time}-477b3bbc253f467b8def6711128c7bec-0-{md5}"),
    ("Tencent COS", "q-sign-algorithm=sha1&q-ak=AKIDQjz3ltompVjBni5LitkWHFlFpwkn&q-sign-time={time};{time}&q-key-time={time};{time}&q-header-list=host&q-url-param-list=&q-signature={hex}&x-cos-security-token={b64}"),
    ("Tencent COS, in one", "sign=q-sign-algorithm%3Dsha1%26q-ak%3DA%26q-signature%3D{hex}"),
    ("Tencent CDN, A", "sign={time}-im1acp76sx9sdqe601v-0-{md5}"),
    ("Tencent CDN, D", "sign={md5}&t={hextime}"),
    ("Tencent live", "txSecret={md5}&txTime={hextime}"),
    ("Wangsu", "wsSecret={md5}&wsTime={time}"),
    ("Huawei OBS", "AccessKeyId=AKID&Expires={time}&Signature={b64}&x-obs-security-token={b64}"),
    ("Huawei OBS, V4", "X-Obs-Algorithm=A&X-Obs-Credential=c&X-Obs-Date={time}&X-Obs-Expires=60&X-Obs-SignedHeaders=host&X-Obs-Signature={hex}"),
    ("Baidu BOS", "authorization=bce-auth-v1%2Fak%2F{time}%2F300%2Fhost%2F{hex}"),
    ("Qiniu", "e={time}&token=AK:{b64}="),
    ("UCloud", "UCloudPublicKey=k&Expires={time}&Signature={b64}"),
    ("Backblaze", "Authorization=4_0022623512fc8f80000000001_0186e431_d18d02_acct_{b64}"),
    ("Akamai", "hdnts=st={time}~exp={time}~acl=/*~hmac={hex}"),
    ("Akamai, hdnea", "hdnea=exp={time}~acl=/*~hmac={hex}"),
    ("Akamai, hdntl", "hdntl=exp={time}~acl=%2f*~data=hdntl~hmac={hex}"),
    ("Akamai, __token__", "__token__=exp={time}~hmac={hex}"),
    ("Akamai, __gda__", "__gda__={time}_{md5}"),
    ("Akamai, any name", "token=exp={time}~acl=%2Fx%2F*~hmac={hex}"),
    ("Cloudflare", "verify={time}-{b64}%3D"),
    ("Bunny", "token={m22}&expires={time}"),
    ("Bunny, directory", "token=HS256-{b64}&token_path=%2Fvideos%2F&token_countries=CA&expires={time}"),
    ("Fastly", "token={time}_{md5}"),
    ("KeyCDN", "token={m22}&expire={time}"),
    ("CDN77", "secure={m22},{time}"),
    ("nginx", "md5={m22}&expires={time}"),
    ("nginx, short", "st={m22}&e={time}"),
    ("a signature and a time", "expires={time}&sig={hex}"),
    ("Discord", "ex={hextime}&is={hextime}&hm={hex}"),
    ("Facebook", "_nc_ohc={m22}&_nc_gid={m22}&oh=00_{m22}&oe={hextime}"),
    ("SharePoint", "tempauth={jwt}"),
];

/// Parameters with names of signatures that may distinguish files.
#[rustfmt::skip]
const UNSIGNED: &[&str] = &[
    "",
    "id=550e8400-e29b-41d4-a716-446655440000",
    "key=a",
    "token=9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE",
    "token=report&expires=1767225600",
    "token=t&se=1&sp=2&st=3",
    "expires=1767225600&policy=p&key-pair-id=k",
    "sig=s&expires=1&policy=p",
    "signature=s&se=1&X-Amz-Date=2",
    "sig&se=1",
    "sig=&se=1",
    "X-Amz-Signature=&X-Amz-Date=2",
    "X-Amz-Date=2&X-Amz-Expires=3",
    "AWSAccessKeyId=a&Expires=1",
    "md5=dd63f95e739ed4b47427a129d21ef4e3&expires=1767225600",
    "sign=leo&t=5",
    "auth_key=!AB12&resid=3",
    "rlkey=abc&dl=1",
    "id=3&confirm=t&uuid=550e8400-e29b-41d4-a716-446655440000&resourcekey=0-a",
    "verify=1",
    "ex=1&is=2&hm=3",
    "oh=no&oe=well",
    "e=1767225600&token=a",
    "txTime=65d903de",
    "wsTime=1767225600",
    "Authorization=Basic",
    "q-ak=a&q-sign-time=1;2",
    "code=3;sid=4&ticket=5",
    "u=https%3A%2F%2Fh%2Fa%3Fhdnts%3Dst%3D1~exp%3D2~hmac%3D0a1b",
    "exp=1~hmac",
    "token[]=9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE&expires=1767225600",
];

fn filled(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(*name, value))
}

fn link(id: &str, query: &str) -> Url {
    format!("https://cdn.example.com/files/a.iso?id={id}&{query}&v=4").parse().unwrap()
}

#[test]
fn a_signed_link_is_shown_without_its_signature_and_known_when_it_is_signed_anew() {
    for (provider, template) in SIGNED {
        let (first, second) = (filled(template, &FIRST), filled(template, &SECOND));
        assert_ne!(first, second, "{provider}");
        let key = "https://cdn.example.com/files/a.iso?id=3&v=4";
        assert_eq!(key_url(&link("3", &first)), key, "{provider}");
        assert_eq!(key_url(&link("3", &second)), key, "{provider}");
        assert_ne!(key_url(&link("4", &first)), key, "{provider}");

        let masked = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() => format!("{name}=***"),
            _ => pair.to_owned(),
        };
        let masked: Vec<String> = first.split('&').map(masked).collect();
        let shown = shown_url(&link("3", &first));
        assert_eq!(shown, format!("https://cdn.example.com/files/a.iso?id=3&{}&v=4", masked.join("&")), "{provider}");
        assert_eq!(identity_url(&link("3", &first)), "https://cdn.example.com/files/a.iso", "{provider}");
    }
}

#[test]
fn a_signature_alone_leaves_a_plain_url() {
    for (provider, template) in SIGNED {
        let url: Url = format!("https://h/a.iso?{}&", filled(template, &FIRST)).parse().unwrap();
        assert_eq!(key_url(&url), "https://h/a.iso", "{provider}");
    }
}

#[test]
fn what_is_no_whole_signature_tells_files_apart() {
    for query in UNSIGNED {
        let text = format!("https://h/a.iso?{query}");
        let url: Url = text.parse().unwrap();
        assert_eq!(key_url(&url), text);
    }
}

#[test]
fn what_changes_the_file_stays_beside_a_signature() {
    let cases = [
        ("x-oss-process=image%2Fresize,w_100&x-oss-date=1&x-oss-signature=s", "x-oss-process=image%2Fresize,w_100"),
        ("versionId=3&X-Amz-Date=1&X-Amz-Signature=s&response-content-type=a", "versionId=3&response-content-type=a"),
        ("snapshot=2026&sv=1&se=2&sig=s&rscd=attachment", "snapshot=2026&rscd=attachment"),
        ("width=3&ex=65d903de&is=65c68ede&hm=2481f30dd67f503f", "width=3"),
        ("stp=dst-jpg_s640x640&oh=00_A&oe=65d903de", "stp=dst-jpg_s640x640"),
        ("X-Goog-Signature=s&X-Amz-Date=2", "X-Amz-Date=2"),
        ("token=abc&X-Amz-Signature=s", "token=abc"),
        ("UniqueId=550e8400&tempauth=t&ApiVersion=2.0", "UniqueId=550e8400&ApiVersion=2.0"),
    ];
    for (query, kept) in cases {
        let url: Url = format!("https://h/a?{query}").parse().unwrap();
        assert_eq!(key_url(&url), format!("https://h/a?{kept}"), "{query}");
    }
}

#[test]
fn a_signature_in_a_path_is_left_out_as_well() {
    let templates = [
        "https://h/bcdn_token=HS256-{b64}&expires={time}&token_path=%2Fv%2F/v/a.m3u8",
        "https://h/hdntl=exp={time}~acl=%2Fv%2F*~hmac={hex}/v/a.m3u8",
        "https://h/exp={time}~acl=%2Fv%2F*~hmac={hex}/v/a.m3u8",
        "https://h/edge-cache-token=Expires={time}~KeyName=k~Signature={b64}/v/a.m3u8",
    ];
    for template in templates {
        for values in [FIRST, SECOND] {
            let url: Url = filled(template, &values).parse().unwrap();
            assert_eq!(key_url(&url), "https://h/v/a.m3u8");
            for text in [shown_url(&url), identity_url(&url)] {
                assert!(values.iter().all(|(_, value)| !text.contains(*value)), "{text}");
            }
        }
    }
}
