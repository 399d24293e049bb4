//! Signed links: which parameters change when a link is renewed for the same file.
//!
//! A parameter is dropped from a link's key only if the whole scheme is present and each part has a value of
//! the right shape: `token` or `expires` alone may distinguish files. Names are compared exactly, ignoring
//! case. Sources: the providers' documentation of signed URLs.

use super::looks;

use Shape::{
    Any, Backblaze, Baidu, Digest, DigestAndTime, HexTime, Jwt, KeyAndDigest, Md5, Number, Stamped, Tencent,
    TimeAndDigest,
};

/// A signature scheme. The parameters that it needs identify it, and are dropped.
struct Scheme {
    /// For each item, one of the names must be present with a value of this shape.
    needs: &'static [(&'static [&'static str], Shape)],
    /// Dropped as well if present.
    also: &'static [&'static str],
}

/// The shape of a value.
#[derive(Clone, Copy)]
enum Shape {
    /// Not empty.
    Any,
    /// Decimal digits: a time.
    Number,
    /// At least eight hex digits: a time, or a digest.
    HexTime,
    /// At least 16 characters of base64 (either kind) or hex, not only decimal digits.
    Digest,
    /// MD5 in URL-safe base64. In hex it is more likely a file's checksum.
    Md5,
    /// `time-random-user-md5`: Alibaba's and Tencent's type A.
    Stamped,
    /// `time-digest` (Cloudflare) or `time_digest` (Fastly).
    TimeAndDigest,
    /// `digest,time` (CDN77).
    DigestAndTime,
    /// `key:digest` (Qiniu).
    KeyAndDigest,
    /// `4_…`: a download authorization.
    Backblaze,
    /// `bce-auth-v1/…`.
    Baidu,
    /// All parameters of Tencent's storage in one.
    Tencent,
    /// A JSON Web Token.
    Jwt,
}

#[rustfmt::skip]
static SCHEMES: &[Scheme] = &[
    // Storage, version 2: Amazon (and MinIO, Wasabi, …), Google, Alibaba, Huawei, UCloud.
    Scheme { needs: &[(&["signature"], Any), (&["awsaccesskeyid"], Any)], also: &["expires", "x-amz-security-token"] },
    Scheme { needs: &[(&["signature"], Any), (&["googleaccessid"], Any)], also: &["expires"] },
    Scheme { needs: &[(&["signature"], Any), (&["ossaccesskeyid"], Any)], also: &["expires", "security-token"] },
    Scheme { needs: &[(&["signature"], Any), (&["accesskeyid"], Any)], also: &["expires", "x-obs-security-token"] },
    Scheme { needs: &[(&["signature"], Any), (&["ucloudpublickey"], Any)], also: &["expires"] },
    // CloudFront.
    Scheme { needs: &[(&["signature"], Any), (&["key-pair-id"], Any)], also: &["expires", "policy", "hash-algorithm"] },
    // Google Cloud CDN and Media CDN.
    Scheme { needs: &[(&["signature"], Any), (&["keyname"], Any)], also: &["expires", "urlprefix"] },
    Scheme { needs: &[(&["edge-cache-token"], Any)], also: &[] },
    // Azure: SAS of an account, of a service, with a stored policy, and of a user's delegation. The response
    // overrides (`rscd`, …) stay, because they do not change on renewal. GitHub adds a JWT.
    Scheme { needs: &[(&["sig"], Any), (&["se", "sv"], Any)], also: AZURE },
    Scheme { needs: &[(&["sig"], Any), (&["si"], Any), (&["sr"], Any)], also: AZURE },
    Scheme { needs: &[(&["sig"], Any), (&["se"], Any), (&["jwt"], Jwt)], also: &[] },
    // Akamai; a value in its format is recognised under any name.
    Scheme { needs: &[(&["hdnts", "hdnea", "hdntl", "__token__", "__gda__"], Any)], also: &[] },
    // Alibaba's and Tencent's CDN; Wangsu; Tencent's live streams.
    Scheme { needs: &[(&["auth_key", "sign"], Stamped)], also: &[] },
    Scheme { needs: &[(&["sign"], Digest), (&["t"], HexTime)], also: &[] },
    Scheme { needs: &[(&["wssecret"], Any), (&["wstime", "wsabstime"], Any)], also: &[] },
    Scheme { needs: &[(&["txsecret"], Any), (&["txtime"], Any)], also: &[] },
    // Tencent's, Baidu's, Qiniu's and Backblaze's storage.
    Scheme {
        needs: &[(&["q-signature"], Any)],
        also: &["q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "x-cos-security-token"],
    },
    Scheme { needs: &[(&["sign"], Tencent)], also: &["x-cos-security-token"] },
    Scheme { needs: &[(&["authorization"], Baidu)], also: &[] },
    Scheme { needs: &[(&["token"], KeyAndDigest), (&["e"], Number)], also: &[] },
    Scheme { needs: &[(&["authorization"], Backblaze)], also: &[] },
    // Bunny, in a query and in a path; KeyCDN; Fastly; Cloudflare; CDN77.
    Scheme { needs: &[(&["token"], Digest), (&["expires"], Number)], also: BUNNY },
    Scheme { needs: &[(&["bcdn_token"], Any), (&["expires"], Number)], also: BUNNY },
    Scheme { needs: &[(&["token"], Digest), (&["expire"], Number)], also: &[] },
    Scheme { needs: &[(&["token", "verify"], TimeAndDigest)], also: &[] },
    Scheme { needs: &[(&["secure"], DigestAndTime)], also: &[] },
    // nginx's secure_link, and similar schemes.
    Scheme { needs: &[(&["md5"], Md5), (&["expires", "e"], Number)], also: &[] },
    Scheme { needs: &[(&["st"], Md5), (&["e"], Number)], also: &[] },
    Scheme {
        needs: &[
            (&["signature", "sig", "sign", "hmac", "secure"], Digest),
            (&["expires", "expire", "exp", "expiry", "expirationtimestamp"], Number),
        ],
        also: &[],
    },
    // Discord; Facebook and Instagram; SharePoint and OneDrive.
    Scheme { needs: &[(&["ex"], HexTime), (&["is"], HexTime), (&["hm"], HexTime)], also: &[] },
    Scheme { needs: &[(&["oh"], Any), (&["oe"], HexTime)], also: &["_nc_ohc", "_nc_oc", "_nc_gid"] },
    Scheme { needs: &[(&["tempauth"], Any)], also: &[] },
];

#[rustfmt::skip]
const AZURE: &[&str] = &[
    "sv", "ss", "srt", "sr", "sp", "st", "se", "si", "sip", "spr", "ses", "sdd",
    "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "sduoid", "skdutid",
];

const BUNNY: &[&str] =
    &["token_path", "token_countries", "token_countries_blocked", "token_ignore_params", "token_ver"];

/// Version 4 signatures: Amazon, Google, Alibaba, Huawei, Volcengine. They share names after their own prefix.
/// Other parameters with the prefix do not belong to them: `x-oss-process` yields another file.
const VENDORS: [&str; 5] = ["x-amz-", "x-goog-", "x-oss-", "x-obs-", "x-tos-"];

#[rustfmt::skip]
const VENDOR_NAMES: &[&str] = &[
    "signature", "signature-version", "algorithm", "credential", "date", "expires", "signedheaders",
    "additional-headers", "security-token", "content-sha256", "region-set", "s3session-token",
];

/// A parameter that may turn out to belong to a signature.
pub(super) trait Signing {
    /// Its name, in lower case.
    fn name(&self) -> &str;
    /// Its value; `None` without `=`.
    fn value(&self) -> Option<&str>;
    /// Marks it as part of a signature.
    fn set_signing(&mut self);
}

/// Marks the parameters of signatures that are present.
pub(super) fn mark<P: Signing>(parameters: &mut [P]) {
    if parameters.iter().all(|parameter| parameter.value().is_none()) {
        return;
    }
    for scheme in SCHEMES {
        let is_there = |(names, shape): &(&[&str], Shape)| parameters.iter().any(|it| is_one(it, names, *shape));
        if scheme.needs.iter().all(is_there) {
            for parameter in parameters.iter_mut() {
                let is_needed = scheme.needs.iter().any(|(names, shape)| is_one(parameter, names, *shape));
                let goes_too = parameter.value().is_some() && scheme.also.contains(&parameter.name());
                if is_needed || goes_too {
                    parameter.set_signing();
                }
            }
        }
    }
    for vendor in VENDORS {
        let is_signature = |parameter: &P| {
            parameter.name().strip_prefix(vendor) == Some("signature")
                && parameter.value().is_some_and(|value| !value.is_empty())
        };
        if parameters.iter().any(is_signature) {
            for parameter in parameters.iter_mut().filter(|parameter| parameter.value().is_some()) {
                let name = parameter.name().strip_prefix(vendor);
                if name.is_some_and(|name| VENDOR_NAMES.contains(&name)) {
                    parameter.set_signing();
                }
            }
        }
    }
}

/// Whether it is exactly an Akamai token, `exp=…~acl=…~hmac=…`: a URL that ends in one is more than a token.
pub(super) fn is_akamai(value: &str) -> bool {
    const FIELDS: [&str; 9] = ["exp", "hmac", "st", "ip", "acl", "url", "id", "data", "salt"];
    let names = || value.split('~').map(|field| field.split_once('=').map_or("", |(name, _)| name));
    value.contains('~')
        && names().all(|name| FIELDS.contains(&name))
        && ["exp", "hmac"].iter().all(|needed| names().any(|name| name == *needed))
}

fn is_one(parameter: &impl Signing, names: &[&str], shape: Shape) -> bool {
    names.contains(&parameter.name()) && parameter.value().is_some_and(|value| shape.fits(value))
}

impl Shape {
    fn fits(self, value: &str) -> bool {
        match self {
            Any => !value.is_empty(),
            Number => is_number(value),
            HexTime => value.len() >= 8 && looks::is_hex(value),
            Digest => is_digest(value),
            Md5 => value.len() == 22 && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            Stamped => {
                let fields: Vec<&str> = value.split('-').collect();
                matches!(fields[..], [time, _, _, md5] if is_number(time) && md5.len() == 32 && looks::is_hex(md5))
            }
            TimeAndDigest => {
                value.split_once(['-', '_']).is_some_and(|(time, digest)| is_time(time) && is_digest(digest))
            }
            DigestAndTime => value.split_once(',').is_some_and(|(digest, time)| is_digest(digest) && is_time(time)),
            KeyAndDigest => value.split_once(':').is_some_and(|(_, digest)| is_digest(digest)),
            Backblaze => value.len() >= 40 && value.split_once('_').is_some_and(|(version, _)| is_number(version)),
            Baidu => value.starts_with("bce-auth-v1/"),
            Tencent => value.starts_with("q-sign-algorithm=") && value.contains("q-signature="),
            Jwt => looks::holds_marked_token(value),
        }
    }
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_time(value: &str) -> bool {
    value.len() >= 10 && is_number(value)
}

fn is_digest(value: &str) -> bool {
    value.len() >= 16
        && !is_number(value)
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=~".contains(&byte))
}
