//! Names of parameters whose values are secrets in any context.

/// Compared by letters and digits only, ignoring case.
#[rustfmt::skip]
const SECRET: &[&str] = &[
    "signature", "sig", "lsig", "sign", "hmac", "jwt", "bearer", "verify",
    "token", "key", "auth", "oauth", "authorization", "authinfo", "accesskeyid", "license", "licence", "licensekey",
    "pass", "passphrase", "passcode", "pwd", "credentials", "cookie", "otp", "pin",
    "code", "authcode", "ticket", "session", "sid", "sas",
    "passkey", "torrentpass", "rsskey", "feedkey", "uploadkey", "sharekey", "appkey", "sk", "ak", "tok", "pw",
    "csrf", "xsrf", "nonce", "creds", "policy", "st", "hmacsha1", "hmacsha256", "tempurlsig",
    "subscriptionkey", "functionkey", "privatekey", "sharedkey", "streamkey", "downloadkey",
    // Signatures under other names, and signers.
    "hdnts", "hdnea", "hdntl", "gda", "upt", "tempauth", "authkey", "rlkey", "resourcekey", "confirm", "zak",
    "wssecret", "txsecret", "qak", "keypairid", "awsaccesskeyid", "googleaccessid", "ossaccesskeyid",
    "ucloudpublickey", "sessionkey", "signkey", "skey", "userpw", "cookies", "tokenvalue", "usig", "psig",
    "tokenid", "userpass", "usercredentials", "vkey",
];

/// Suffixes of other such names: `X-Amz-Security-Token`, `oauth_signature`, `PHPSESSID`.
#[rustfmt::skip]
const SECRET_ENDS: &[&str] = &[
    "token", "secret", "password", "passwd", "signature", "credential", "authorization",
    "apikey", "accesskey", "secretkey", "subscriptionkey", "sessionid", "sessid",
];

/// Names of file digests. A digest is not a secret.
const DIGESTS: &[&str] = &["md5", "sha1", "sha256", "sha512", "blake3", "checksum", "digest"];

/// Whether the value of a parameter with this (decoded) name is a secret. Parts in brackets or between dots
/// count as well: `token[]`, `auth[key]`, `openid.sig`.
pub(super) fn is_secret(name: &str) -> bool {
    let whole = plain(name);
    is_known(&whole)
        || SECRET_ENDS.iter().any(|end| whole.ends_with(*end))
        || name.split(['.', '[', ']', '?', '/', ':']).any(|part| part.len() < name.len() && is_known(&plain(part)))
}

/// Whether a parameter with this (decoded) name belongs to the link rather than the file: a server that
/// redirects to a signed URL creates a new one each time.
pub(super) fn is_of_link(name: &str) -> bool {
    let plain = plain(name);
    matches!(&*plain, "sig" | "signature" | "sign" | "hmac" | "auth" | "expires" | "expire" | "exp" | "expiry")
        || plain.ends_with("token")
}

/// Whether a parameter with this (decoded) name identifies a file's content.
pub(super) fn is_digest(name: &str) -> bool {
    DIGESTS.contains(&plain(name).as_str())
}

fn is_known(plain: &str) -> bool {
    SECRET.contains(&plain)
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_each_spelling() {
        for name in [
            "token",
            "TOKEN",
            "to-ken",
            "token[]",
            "auth[key]",
            "user.token",
            "user[session]",
            "__token__",
            "access_token",
            "X-Amz-Security-Token",
            "PHPSESSID",
            "jsessionid",
            "sid",
            "openid.sig",
            "api.key",
            "client_secret",
            "code",
            "ticket",
            "https://h/a?sig",
            "passkey",
            "torrent_pass",
            "temp_url_sig",
            "Ocp-Apim-Subscription-Key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["", "id", "passage", "side", "codec", "keyboard", "v", "md5", "file.name", "expires"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
