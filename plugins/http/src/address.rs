//! An address taken apart, before it is an endpoint or a proxy.

use std::fmt;

use tracer_plugin_kit::HostPort;

/// An `http` or `https` address, every part of it checked: the library below would go to port 80 for a port that it
/// cannot read.
pub(crate) struct Address<'a> {
    pub(crate) is_https: bool,
    /// What stands before an `@`.
    pub(crate) user_info: Option<&'a str>,
    pub(crate) host_port: HostPort,
    /// Path and query; empty, or it begins with `/` or `?`.
    pub(crate) path_and_query: &'a str,
}

/// Why a text is no address. Prints a sentence that repeats nothing of the text: it may hold a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAddress {
    /// Nothing is there.
    Empty,
    /// It does not say whether it is `http` or `https`.
    NoScheme,
    /// It is for OTLP over gRPC.
    Grpc,
    /// It is for something else.
    OtherScheme,
    /// `http:` without its slashes.
    NoSlashes,
    /// `http://http://`.
    SchemeTwice,
    /// A blank, or a character that cannot be seen.
    Character(char),
    /// `#` and what follows, which no server is ever sent.
    Fragment,
    /// Host and port.
    Host(&'static str),
    /// The same, where it may be that an `@` further on should have ended a password.
    HostOrPassword(&'static str),
}

impl<'a> Address<'a> {
    /// Reads an address; blanks around it are no part of it.
    pub(crate) fn parse(text: &'a str) -> Result<Self, NoAddress> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NoAddress::Empty);
        }
        if let Some(stray) = text.chars().find(|c| is_stray(*c)) {
            return Err(NoAddress::Character(stray));
        }
        let (is_https, rest) = scheme(text)?;
        if rest.contains('#') {
            return Err(NoAddress::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        if ["http:", "https:"].iter().any(|again| authority.eq_ignore_ascii_case(again)) {
            return Err(NoAddress::SchemeTwice);
        }
        let (user_info, host_port) = match authority.rsplit_once('@') {
            Some((user_info, host_port)) => (Some(user_info), host_port),
            None => (None, authority),
        };
        let host_port = HostPort::parse(host_port).map_err(|what| {
            let is_cut = user_info.is_none() && path_and_query.contains('@');
            if is_cut { NoAddress::HostOrPassword(what) } else { NoAddress::Host(what) }
        })?;
        Ok(Address { is_https, user_info, host_port, path_and_query })
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}

/// Whether it is `https`, and what follows `://`.
fn scheme(text: &str) -> Result<(bool, &str), NoAddress> {
    let Some((scheme, rest)) = text.split_once("://") else {
        let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let slashes_are_missing = text.contains(':') && matches!(scheme.as_str(), "http" | "https");
        return Err(if slashes_are_missing { NoAddress::NoSlashes } else { NoAddress::NoScheme });
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((false, rest)),
        "https" => Ok((true, rest)),
        "grpc" | "grpcs" => Err(NoAddress::Grpc),
        "" => Err(NoAddress::NoScheme),
        scheme if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) => {
            Err(NoAddress::OtherScheme)
        }
        // `collector:4318/?to=http://…`
        _ => Err(NoAddress::NoScheme),
    }
}

/// Blanks, and what cannot be seen.
fn is_stray(c: char) -> bool {
    let is_invisible = matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    c.is_whitespace() || c.is_control() || is_invisible
}

impl fmt::Display for NoAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            NoAddress::Empty => "it is empty",
            NoAddress::NoScheme => "it does not begin with http:// or https://",
            NoAddress::Grpc => {
                "grpc:// is no scheme of OpenTelemetry's: OTLP over gRPC has the backend `plugin = \"otlp_grpc\"`, whose \
                 address begins with http:// or, for TLS, https://"
            }
            NoAddress::OtherScheme => {
                "it begins neither with http:// nor with https://, and nothing else is spoken here"
            }
            NoAddress::NoSlashes => "after http: or https: it has not two slashes",
            NoAddress::SchemeTwice => "it has http:// or https:// twice",
            NoAddress::Character(' ') => "there is a blank in it",
            NoAddress::Character(c) => {
                return write!(formatter, "there is an invisible character in it, U+{:04X}", u32::from(*c));
            }
            NoAddress::Fragment => "no server is ever sent a # and what follows it: leave it out, or write %23",
            NoAddress::Host(what) => what,
            NoAddress::HostOrPassword(what) => {
                return write!(formatter, "{what} (in a password, / is written %2F and ? is written %3F)");
            }
        };
        formatter.write_str(sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> NoAddress {
        Address::parse(text).map(|_| ()).unwrap_err()
    }

    #[test]
    fn an_address_is_taken_apart() {
        let address = Address::parse(" HTTPS://me:p%40ss@[::1]:4318/a?b=c@d\n").unwrap();
        assert_eq!((address.scheme(), address.user_info), ("https", Some("me:p%40ss")));
        assert_eq!((address.host_port.to_string().as_str(), address.path_and_query), ("[::1]:4318", "/a?b=c@d"));
        let address = Address::parse("http://c").unwrap();
        assert_eq!((address.is_https, address.user_info, address.path_and_query), (false, None, ""));
        assert_eq!(Address::parse("http://c?x=1").unwrap().path_and_query, "?x=1");
    }

    #[test]
    fn every_way_to_get_it_wrong_has_its_own_word() {
        for (text, expected) in [
            (" ", NoAddress::Empty),
            ("localhost:4318", NoAddress::NoScheme),
            ("collector", NoAddress::NoScheme),
            ("/v1/traces", NoAddress::NoScheme),
            ("//c:4318", NoAddress::NoScheme),
            ("://c:4318", NoAddress::NoScheme),
            ("c:4318/?to=http://d", NoAddress::NoScheme),
            ("grpc://c:4317", NoAddress::Grpc),
            ("GRPCS://c:4317", NoAddress::Grpc),
            ("unix:///run/collector", NoAddress::OtherScheme),
            ("udp://c:6831", NoAddress::OtherScheme),
            ("http:c:4318", NoAddress::NoSlashes),
            ("https:/c:4318", NoAddress::NoSlashes),
            ("http://http://c:4318", NoAddress::SchemeTwice),
            ("http://https://c:4318", NoAddress::SchemeTwice),
            ("http://c :4318", NoAddress::Character(' ')),
            ("http:\\\\c:4318", NoAddress::NoSlashes),
            ("\u{feff}http://c:4318", NoAddress::Character('\u{feff}')),
            ("http://c\u{200b}:4318", NoAddress::Character('\u{200b}')),
            ("http://c:4318\u{7f}/", NoAddress::Character('\u{7f}')),
            ("\"http://c:4318\"", NoAddress::NoScheme),
            ("http://${HOST}:4318", NoAddress::Host("its host has a character that no host name has")),
            ("http://c:4318/#top", NoAddress::Fragment),
            ("http://", NoAddress::Host("there is no host in it")),
            ("http://:4318", NoAddress::Host("there is no host in it")),
            ("http://me@:4318", NoAddress::Host("there is no host in it")),
            ("http://c:99999", NoAddress::Host("its port is no number from 1 to 65535")),
            ("http://c:99999/path", NoAddress::Host("its port is no number from 1 to 65535")),
            ("http://c:4318x?q", NoAddress::Host("its port is no number from 1 to 65535")),
            ("http://c:", NoAddress::Host("there is no port after the `:`")),
            ("http://me:a/b@c:80", NoAddress::HostOrPassword("its port is no number from 1 to 65535")),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_named_by_its_number() {
        assert_eq!(refusal("http://c\u{200b}").to_string(), "there is an invisible character in it, U+200B");
        assert_eq!(refusal("http://c\t1").to_string(), "there is an invisible character in it, U+0009");
    }
}
