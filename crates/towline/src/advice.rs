//! The words for the engine's advice: what to do next, with the flags of this command. The engine only
//! has codes, because other programs have other options. One long match: a line per code.

use towline_engine::Advice;

/// What to do next, as a clause without a full stop.
pub(crate) fn words(advice: Advice) -> &'static str {
    match advice {
        Advice::RunAgain => "run the same command again to go on",
        Advice::RunAgainFromStart => "run the same command again",
        Advice::RunAgainWhenLessBusy => "the server is busy; run the same command again later to go on",
        Advice::RunAgainWhenServerWorks => "the server is in trouble; run the same command again later to go on",
        Advice::RunAgainWhenFileIsSettled => "the file on the server keeps changing; try again later",
        Advice::RunAgainOrRaiseStallTimeout => {
            "run the same command again to go on; --stall-timeout waits longer for data"
        }
        Advice::RunAgainOrRaiseResponseTimeout => {
            "run the same command again to go on; --response-timeout waits longer for an answer"
        }
        Advice::RunAgainOrCheckProxyAddress => {
            "run the same command again to go on; if it stays so, check the address of the proxy"
        }
        Advice::RunAgainOrAskOperator => "run the same command again; if it stays so, ask the server's operator",
        Advice::RunAgainOrCheckDigest => {
            "the next run fetches it again; if it fails again, the digest or the file on the server is wrong"
        }
        Advice::RunAgainOrIgnoreServerDigest => {
            "the next run fetches it again; --no-server-digest leaves out what the server says"
        }
        Advice::RunAgainLaterSameContentOrRestart => {
            "what has come is kept; run the same command again later, --same-content goes on if samples of both agree, \
             --restart begins again"
        }
        Advice::SameContentOrRestart => {
            "what is there is kept; --same-content goes on with it if samples of both agree, --restart begins again"
        }
        Advice::SameContentRestartOrOtherName => {
            "what has come is kept; --same-content goes on if samples of both agree, --restart gives it up, another -o \
             begins beside it"
        }
        Advice::RestartOrOtherName => "what is there is kept; --restart begins again, another -o begins beside it",
        Advice::RetryFailed => "that was in an earlier run, and it was not asked for again; --retry-failed asks again",
        Advice::CheckUrl => "check the URL, or ask the owner of the server",
        Advice::CheckUrlOrSize => "check the URL, and the size in the list",
        Advice::CheckHostName => "check the host name in the URL",
        Advice::CheckHostNameAndNetwork => "check the host name and the network",
        Advice::CheckPortOrScheme => "check the port, or try http:// instead",
        Advice::OpenInBrowser => "open the URL in a browser, or ask the owner of the server",
        Advice::AskOwnerOrTryOtherNetwork => {
            "the server, or something before it, is broken; ask its owner, or try another network"
        }
        Advice::LogInToNetwork => "the network wants a login: open any page in a browser",
        Advice::LogInOrAcceptPage => "open the URL in a browser: it may want a login; --accept-html takes the page",
        Advice::LogInThenRunAgain => {
            "what has come is kept; open the URL in a browser, it may want a login, and run the same command again"
        }
        Advice::GiveCredentials => {
            "the server wants credentials, or refuses access; pass credentials (--user, --netrc, --cookies, -H), or get a new link"
        }
        Advice::GiveNewLink => {
            "what is there is kept; if the link has expired, get a new one and give it with -o and the same name"
        }
        Advice::GiveChecksum => {
            "the server tells neither the length nor the end of the file; if you know its digest, give it with \
             --checksum"
        }
        Advice::CheckProxy => "check the address and the credentials of the proxy",
        Advice::CheckProxyAddress => "check the address of the proxy",
        Advice::CheckProxyAllowsThis => "check that this is the address of a proxy that allows this",
        Advice::CheckProxyCredentials => {
            "check the credentials of the proxy; special characters must be percent-encoded"
        }
        Advice::GiveProxyCredentials => {
            "give the credentials of the proxy in its URL: --proxy http://USER:PASSWORD@HOST:PORT"
        }
        Advice::GiveProxyAuthority => {
            "if the proxy's certificate is signed by an authority of your own, give it with --ca-file"
        }
        Advice::CheckUrlOrAskProxyOwner => "the proxy works: check the URL, or ask who runs the proxy",
        Advice::AskProxyOwner => "the proxy does not allow this; ask who runs it, or use another",
        Advice::UseOtherProxy => "use another proxy, or a local one (cntlm, px) that speaks it for you",
        Advice::SetOrUnsetProxyVariable => "set it to http://HOST:PORT, or unset it",
        Advice::SignInToOneDrive => {
            "sign in with `towline login onedrive --client-id ID` (see `towline login --help`), or set TOWLINE_ONEDRIVE_TOKEN"
        }
        Advice::AskOwnerOfShare => "ask its owner for access, or for another link",
        Advice::GiveAuthority => {
            "if the certificate is your own, or signed by an authority of your own, give that one with --ca-file"
        }
        Advice::GiveOwnCertificate => {
            "if the certificate is your own and names this host (subjectAltName), give it with --ca-file"
        }
        Advice::CheckCaFile => "give a PEM file of certificates with --ca-file",
        Advice::CheckIdentity => "name PEM files of the certificate (--cert) and its key (--key)",
        Advice::CheckPinnedKey => "check --pinned-key; if it is right, somebody else answers for this server",
        Advice::CheckClock => "check this machine's clock; if it is right, ask the server's operator",
        Advice::AskOperator => "ask the server's operator",
        Advice::AskOperatorForNewerTls => {
            "ask the server's operator for TLS 1.3, or for TLS 1.2 with ECDHE and AES-GCM"
        }
        Advice::AskOperatorOrAcceptAnyCertificate => {
            "ask the server's operator to fix it; --insecure accepts any certificate, from anybody"
        }
        Advice::ChooseExisting => "use --overwrite, --auto-rename or --skip-existing",
        Advice::TrustSizeOrChooseExisting => {
            "use --trust-size to take it for the file, or --overwrite, --auto-rename or --skip-existing"
        }
        Advice::AdoptOrChooseExisting => {
            "use --adopt if another program has begun it, or --overwrite, --auto-rename or --skip-existing"
        }
        Advice::MoveAwayOrChooseDirectory => "move it away, or choose another directory (-d)",
        Advice::MoveAwayOrRename => "only files are replaced: move it away, or use -o or --auto-rename",
        Advice::NameAsInSums => "give the name that the file of digests uses with -o",
        Advice::NumberNames => "use --auto-rename, or give the URLs in a list (-i), which numbers such names",
        Advice::AllowLargerFile => "allow more with --max-size if the file may be so large",
        Advice::MakeRoom => "make room and run the same command again; what can be resumed is kept",
        Advice::MakeRoomOrRestart => {
            "the partial file of the version before is kept until the new one is complete; make room for both, or use \
             --restart to give it up"
        }
        Advice::SaveOnOtherDisk => "save it on another disk (-o)",
        Advice::SaveOnLargerDisk => "save it on a larger disk (-d, -o)",
        Advice::RemoveDamagedFiles => "remove those that you do not need",
        Advice::WaitForOtherProcess => "wait for the other towline to end, or stop it",
        Advice::UseNewerVersionOrRestart => "use the newer towline, or start again with --restart",
        Advice::UseNewerVersionOrOtherDirectory => "use the newer towline, or another directory (-d)",
        Advice::RemoveOtherNameOrRestart => "remove the other name, or start again beside it with --restart",
        Advice::RaiseLimitsOrUseFewerThreads => {
            "raise the limits of threads and memory (ulimit -u, ulimit -v), or try --threads 1"
        }
        // Only for the compiler: the test below fails for advice that has no arm of its own.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use towline_engine::{Error, ErrorKind};

    use super::*;

    #[test]
    fn every_advice_has_words_of_its_own() {
        let mut seen = HashSet::new();
        for advice in Advice::ALL.iter().copied() {
            let words = words(advice);
            assert!(!words.is_empty(), "{advice:?} has no words");
            assert!(seen.insert(words), "{advice:?} has the words of another: {words}");
        }
    }

    #[test]
    fn the_words_on_a_status_are_of_use() {
        let cases = [
            (404, "check the URL, or ask the owner"),
            (401, "refuses access; pass credentials (--user, --netrc, --cookies, -H), or get a new link"),
            (407, "--proxy http://USER:PASSWORD@HOST:PORT"),
            (408, "run the same command again to go on"),
            (503, "is busy; run the same command again later"),
            (500, "is in trouble; run the same command again later"),
        ];
        for (status, expected) in cases {
            let advice = Error::new(ErrorKind::Status(status), "no").advice().unwrap();
            assert!(words(advice).contains(expected), "{status}: {}", words(advice));
        }
    }

    #[test]
    fn the_docs_list_every_code() {
        let docs = include_str!("../../../docs/events.md");
        for advice in Advice::ALL {
            let code = serde_json::to_value(advice).unwrap();
            assert!(docs.contains(&format!("| `{}` |", code.as_str().unwrap())), "{advice:?}");
        }
    }
}
