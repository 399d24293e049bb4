//! Credentials by host, from a file in the form of `.netrc`. Pure, but for the file.

use std::fmt;

use http::HeaderValue;

use super::credentials;

/// The credentials of a `.netrc` file.
///
/// ```
/// use towline_engine::http::netrc::Netrc;
///
/// let netrc = Netrc::parse("machine example.org login me password \"a secret\" default login you password x").unwrap();
/// assert!(netrc.has("example.org"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    machines: Vec<Machine>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Machine {
    /// `None` is every host.
    name: Option<String>,
    login: String,
    password: String,
}

/// Without logins and passwords.
impl fmt::Debug for Netrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the credentials of {} hosts", self.machines.len())
    }
}

impl Netrc {
    /// Reads the text of such a file. Macros are passed over.
    ///
    /// # Errors
    /// What is wrong, without what stands there: it may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut machines: Vec<Machine> = Vec::new();
        let mut tokens = Tokens { rest: text, line: 1 };
        while let Some(token) = tokens.keyword()? {
            let line = tokens.line;
            let mut value = || tokens.word()?.ok_or_else(|| format!("line {line}: {token} has no value"));
            match token.as_str() {
                "machine" => machines.push(Machine { name: Some(value()?), ..Machine::default() }),
                "default" => machines.push(Machine::default()),
                "login" | "user" => {
                    let login = value()?;
                    machines.last_mut().ok_or_else(|| first_machine(line))?.login = login;
                }
                "password" | "passwd" => {
                    let password = value()?;
                    machines.last_mut().ok_or_else(|| first_machine(line))?.password = password;
                }
                "account" => drop(value()?),
                "macdef" => tokens.skip_macro(),
                _ => {
                    return Err(format!(
                        "line {line}: machine, login, password, account, macdef or default is expected"
                    ));
                }
            }
        }
        Ok(Self { machines })
    }

    /// Whether there are credentials for a host.
    pub fn has(&self, host: &str) -> bool {
        self.of(host, true).is_some()
    }

    /// The header for a host: of the first entry for it, or of `default`, which is not for hosts that a server names.
    pub(crate) fn of(&self, host: &str, may_be_default: bool) -> Option<HeaderValue> {
        let is_it = |machine: &&Machine| match &machine.name {
            Some(name) => name.eq_ignore_ascii_case(host),
            None => may_be_default,
        };
        let machine = self.machines.iter().find(is_it)?;
        Some(credentials::basic_of(machine.login.as_bytes(), machine.password.as_bytes()))
    }

    /// The same for a host and a login that are known without a password.
    pub(crate) fn of_login(&self, host: &str, login: &str) -> Option<HeaderValue> {
        let is_host = |machine: &Machine| machine.name.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(host));
        let machine = self.machines.iter().find(|machine| is_host(machine) && machine.login == login)?;
        Some(credentials::basic_of(login.as_bytes(), machine.password.as_bytes()))
    }
}

fn first_machine(line: usize) -> String {
    format!("line {line}: it belongs to no machine")
}

/// The words of the file. One in quotes may have blanks and escaped characters.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl Tokens<'_> {
    /// The next word that is in no comment.
    fn keyword(&mut self) -> Result<Option<String>, String> {
        while self.skip_blanks() && self.rest.starts_with('#') {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(end);
        }
        self.word()
    }

    /// Whether anything comes after them.
    fn skip_blanks(&mut self) -> bool {
        let at = self.rest.find(|char: char| !char.is_whitespace());
        self.take(at.unwrap_or(self.rest.len()));
        at.is_some()
    }

    /// The next word. A password may begin as a comment does.
    fn word(&mut self) -> Result<Option<String>, String> {
        if !self.skip_blanks() {
            return Ok(None);
        }
        if !self.rest.starts_with('"') {
            let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
            return Ok(Some(self.take(end).to_owned()));
        }
        let line = self.line;
        let (mut word, mut is_escaped) = (String::new(), false);
        for (at, char) in self.rest.char_indices().skip(1) {
            match char {
                '"' if !is_escaped => {
                    self.take(at + 1);
                    return Ok(Some(word));
                }
                '\\' if !is_escaped => is_escaped = true,
                char => {
                    word.push(match char {
                        'n' if is_escaped => '\n',
                        't' if is_escaped => '\t',
                        'r' if is_escaped => '\r',
                        char => char,
                    });
                    is_escaped = false;
                }
            }
        }
        Err(format!("line {line}: a quote is not closed"))
    }

    /// A macro ends at a blank line.
    fn skip_macro(&mut self) {
        let end = self.rest.find("\n\n").unwrap_or(self.rest.len());
        self.take(end);
    }

    fn take(&mut self, bytes: usize) -> &str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(netrc: &Netrc, host: &str) -> Option<String> {
        use base64::Engine as _;

        let value = netrc.of(host, true)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(&value.as_bytes()[6..]).unwrap();
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn each_host_has_its_credentials() {
        let text = "# ours\nmachine A.example login me password secret\nmachine b.example\n\tlogin \"two words\"\n\
                    \tpassword \"q\\\"x\\\\\" account none\nmacdef init\ncd /pub\nmachine no\n\nmachine c.example login c # theirs\n\
                    machine d.example password #1 login d\n";
        let netrc = Netrc::parse(text).unwrap();
        assert_eq!(sent(&netrc, "a.example").unwrap(), "me:secret");
        assert_eq!(sent(&netrc, "b.example").unwrap(), "two words:q\"x\\");
        assert_eq!(sent(&netrc, "c.example").unwrap(), "c:");
        assert_eq!(sent(&netrc, "d.example").unwrap(), "d:#1");
        assert_eq!(sent(&netrc, "no"), None);
        let any = Netrc::parse("default login anonymous password x").unwrap();
        assert_eq!(sent(&any, "anything").unwrap(), "anonymous:x");
        assert_eq!(any.of("anything", false), None);
        assert!(!format!("{netrc:?}").contains("secret"));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_password() {
        for (text, line) in [
            ("login me", "line 1"),
            ("machine h\nlogin", "line 2"),
            ("machine h password hunter2 hunter3", "line 1"),
            ("machine h password \"hunter2", "line 1"),
        ] {
            let why = Netrc::parse(text).unwrap_err();
            assert!(why.starts_with(line) && !why.contains("hunter"), "{why}");
        }
    }
}
