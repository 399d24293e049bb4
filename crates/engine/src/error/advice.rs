//! What the user of the library can do about an error, as a code. The engine knows option fields, not flags:
//! each program puts a code into its own words.

use serde::Serialize;

/// Generates the enum and the list of its variants, so that the list is always complete.
macro_rules! advice {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// What to do next. Serialised as a code in snake case (`give_checksum`), which stays stable across
        /// versions. "Fetch it again" means with the same options.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Advice {
            $($(#[$doc])+ $name,)+
        }

        impl Advice {
            /// All codes, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

advice! {
    /// Fetch it again: it resumes existing data.
    RunAgain,
    /// Fetch it again: it starts over, because the existing data was set aside.
    RunAgainFromStart,
    /// Fetch it again once the server is less busy.
    RunAgainWhenLessBusy,
    /// Fetch it again once the server works.
    RunAgainWhenServerWorks,
    /// Fetch it again once the file on the server has stopped changing.
    RunAgainWhenFileIsSettled,
    /// Fetch it again; if the server is slow, raise `HttpOptions::stall_timeout`.
    RunAgainOrRaiseStallTimeout,
    /// Fetch it again; if the server is slow to respond, raise `HttpOptions::response_timeout`.
    RunAgainOrRaiseResponseTimeout,
    /// Fetch it again; if it fails the same way, check the address of the proxy.
    RunAgainOrCheckProxyAddress,
    /// Fetch it again; if it fails the same way, ask the operator of the server.
    RunAgainOrAskOperator,
    /// Fetch it again; if it fails the same way, the digest or the file on the server is wrong.
    RunAgainOrCheckDigest,
    /// Fetch it again, or clear `HttpOptions::server_digests`.
    RunAgainOrIgnoreServerDigest,
    /// Fetch it again later, set `JobSpec::same_content`, or clear `Options::resume` to start over.
    RunAgainLaterSameContentOrRestart,
    /// Set `JobSpec::same_content`, or clear `Options::resume` to start over.
    SameContentOrRestart,
    /// Set `JobSpec::same_content`, clear `Options::resume` to start over, or give another `JobSpec::output`.
    SameContentRestartOrOtherName,
    /// Clear `Options::resume` to start over, or give another `JobSpec::output`.
    RestartOrOtherName,
    /// Set `Options::retry_failed`: an earlier run failed, and this one did not try.
    RetryFailed,

    /// Check the URL, or ask the owner of the server.
    CheckUrl,
    /// Check the URL, and the size of the file in the list.
    CheckUrlOrSize,
    /// Check the host name in the URL.
    CheckHostName,
    /// Check the host name in the URL, and the network.
    CheckHostNameAndNetwork,
    /// Check the port in the URL, or try the scheme `http`.
    CheckPortOrScheme,
    /// Open the URL in a browser, or ask the owner of the server.
    OpenInBrowser,
    /// Ask the owner of the server, or try another network.
    AskOwnerOrTryOtherNetwork,
    /// Log in to the network: open any page in a browser.
    LogInToNetwork,
    /// Log in to the server in a browser, or set `Options::accept_html`.
    LogInOrAcceptPage,
    /// Log in to the server in a browser, then fetch it again: it resumes existing data.
    LogInThenRunAgain,
    /// Give credentials (`HttpOptions::headers`, `JobOptions::headers`), or get a new link.
    GiveCredentials,
    /// If the link has expired, give a new one with the same `JobSpec::output`: it resumes existing data.
    GiveNewLink,
    /// Give the digest of the file in `JobSpec::checksum`.
    GiveChecksum,

    /// Check the address and the credentials of the proxy.
    CheckProxy,
    /// Check the address of the proxy.
    CheckProxyAddress,
    /// Check that the address is that of a proxy that allows this.
    CheckProxyAllowsThis,
    /// Check the credentials of the proxy; special characters must be percent-encoded.
    CheckProxyCredentials,
    /// Give the credentials of the proxy in its URL (`HttpOptions::proxy`).
    GiveProxyCredentials,
    /// Give the authority that signed the proxy's certificate in `HttpOptions::ca_file`.
    GiveProxyAuthority,
    /// Check the URL, or ask the operator of the proxy: the proxy itself works.
    CheckUrlOrAskProxyOwner,
    /// Ask the operator of the proxy to allow this, or use another proxy.
    AskProxyOwner,
    /// Use another proxy, or a local one that authenticates to this one.
    UseOtherProxy,
    /// Set the environment variable to `http://HOST:PORT`, or unset it.
    SetOrUnsetProxyVariable,

    /// Give your own certificate, or that of your own authority, in `HttpOptions::ca_file`.
    GiveAuthority,
    /// If the certificate is your own and names the host, give it in `HttpOptions::ca_file`.
    GiveOwnCertificate,
    /// Name a PEM file of certificates in `HttpOptions::ca_file`.
    CheckCaFile,
    /// Name PEM files of a certificate and its key in `HttpOptions::identity`.
    CheckIdentity,
    /// Check the keys in `HttpOptions::pinned_keys`; if they are right, somebody else answers.
    CheckPinnedKey,
    /// Check the clock of this machine; if it is right, ask the operator of the server.
    CheckClock,
    /// Ask the operator of the server.
    AskOperator,
    /// Ask the operator of the server for newer TLS versions or ciphers.
    AskOperatorForNewerTls,
    /// Ask the operator of the server for a valid certificate, or set `HttpOptions::insecure`.
    AskOperatorOrAcceptAnyCertificate,

    /// Choose in `Options::existing` what to do with the existing file.
    ChooseExisting,
    /// Set `Options::trust_size`, or choose in `Options::existing` what to do with the existing file.
    TrustSizeOrChooseExisting,
    /// Go on with a file that another program has begun (`Options::adopt`), or choose what happens with it
    /// (`Options::existing`).
    AdoptOrChooseExisting,
    /// Move the existing file away, give another `JobSpec::output`, or choose `Existing::AutoRename`.
    MoveAwayOrRename,
    /// Move what has the name of the directory away, or fetch into another directory.
    MoveAwayOrChooseDirectory,
    /// Give the name that the file of digests uses as `JobSpec::output`.
    NameAsInSums,
    /// Choose `Existing::AutoRename`, or give the URLs in a list: both number duplicate names.
    NumberNames,
    /// Raise `Options::max_size_bytes` if the file may be that large.
    AllowLargerFile,

    /// Free disk space, then fetch it again: it resumes existing data.
    MakeRoom,
    /// Free disk space for both the old version and the new one, or clear `Options::resume` to give up the old
    /// one.
    MakeRoomOrRestart,
    /// Save the file on another disk: this file system does not support files of this size.
    SaveOnOtherDisk,
    /// Save the file on a larger disk.
    SaveOnLargerDisk,
    /// Remove damaged files that you do not need.
    RemoveDamagedFiles,
    /// Wait for the other process to end, or stop it.
    WaitForOtherProcess,
    /// Use the newer version, or clear `Options::resume` to start over.
    UseNewerVersionOrRestart,
    /// Use the newer version, or another directory.
    UseNewerVersionOrOtherDirectory,
    /// Remove the other name of the partial file, or clear `Options::resume` to start over beside it.
    RemoveOtherNameOrRestart,
    /// Sign in to OneDrive (again).
    SignInToOneDrive,
    /// Ask the owner of the share for access, or for another link.
    AskOwnerOfShare,
    /// Raise the limits for threads and memory, or lower `Options::threads`.
    RaiseLimitsOrUseFewerThreads,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_has_a_code_of_its_own_in_snake_case() {
        let codes: HashSet<String> = Advice::ALL.iter().map(|advice| serde_json::to_string(advice).unwrap()).collect();
        assert_eq!(codes.len(), Advice::ALL.len());
        for (advice, code) in [
            (Advice::RunAgain, "\"run_again\""),
            (Advice::GiveChecksum, "\"give_checksum\""),
            (Advice::CheckUrlOrAskProxyOwner, "\"check_url_or_ask_proxy_owner\""),
        ] {
            assert_eq!(serde_json::to_string(&advice).unwrap(), code);
        }
    }
}
