//! The environment variables that a configuration may depend on, or a stand-in for them.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::OsString;

use super::secure_execution;

/// Looks environment variables up.
///
/// Injectable, so that tests and tools need not change the process environment, which no thread may do safely.
pub struct Variables {
    lookup: Box<Lookup>,
    /// The environment belongs to someone less privileged than the process: nothing in it is looked at.
    withheld: bool,
}

impl Variables {
    /// Those of this process, read at each look-up.
    ///
    /// In a privileged process (setuid, setgid, file capabilities: `AT_SECURE`) they all count as unset: whoever
    /// started it must not choose the file, the plugins, or where data goes.
    pub fn process() -> Self {
        Self { lookup: Box::new(|name| std::env::var_os(name)), withheld: secure_execution::is_secure() }
    }

    /// Those of this process as they are now, whatever becomes of them. For threads that look at them later: a program
    /// may change its environment, and then nobody else may read it.
    pub(crate) fn of_now() -> Self {
        let withheld = secure_execution::is_secure();
        let pairs = if withheld { Vec::new() } else { std::env::vars_os().collect() };
        let pairs: Vec<(OsString, OsString)> = pairs;
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self { withheld, ..Self::of(pairs) }
    }

    /// These and no others.
    pub fn of<K: Into<String>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let map: HashMap<String, OsString> = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self { lookup: Box::new(move |name| map.get(name).cloned()), withheld: false }
    }

    /// The same, each look-up of a variable that is set told to `seen`, by its name: for whoever explains what came from
    /// where.
    #[must_use]
    pub fn watched(self, seen: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let lookup = self.lookup;
        let watched = move |name: &str| lookup(name).inspect(|_| seen(name));
        Self { lookup: Box::new(watched), withheld: self.withheld }
    }

    /// The same, but for these, which count as unset.
    #[must_use]
    pub fn without(self, names: &'static [&'static str]) -> Self {
        let lookup = self.lookup;
        let rest = move |name: &str| if names.contains(&name) { None } else { lookup(name) };
        Self { lookup: Box::new(rest), withheld: self.withheld }
    }

    /// The same as a privileged process would see them: not at all.
    #[must_use]
    pub fn withheld(self) -> Self {
        Self { withheld: true, ..self }
    }

    /// Whether the environment is not looked at because the process is privileged.
    pub(crate) fn are_withheld(&self) -> bool {
        self.withheld
    }

    /// The value as it stands, empty included.
    pub(crate) fn raw(&self, name: &str) -> Option<OsString> {
        if self.withheld { None } else { (self.lookup)(name) }
    }

    /// The value, where an empty one counts as unset (as OpenTelemetry has it).
    pub(crate) fn text(&self, name: &str) -> Variable {
        match self.raw(name).map(OsString::into_string) {
            None => Variable::Unset,
            Some(Ok(text)) if text.is_empty() => Variable::Unset,
            Some(Ok(text)) => Variable::Text(text),
            Some(Err(_)) => Variable::NotText,
        }
    }
}

type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// One variable, looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Unset,
    Text(String),
    /// Set, but its bytes are not UTF-8.
    NotText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let variables = Variables::of([("A", ""), ("B", "b")]);
        assert_eq!(variables.text("A"), Variable::Unset);
        assert_eq!(variables.text("B"), Variable::Text("b".into()));
        assert_eq!(variables.raw("A"), Some(OsString::new()));
    }

    #[test]
    fn a_privileged_process_sees_no_variable() {
        let variables = Variables::of([("B", "b")]).withheld();
        assert_eq!(variables.text("B"), Variable::Unset);
        assert_eq!(variables.raw("B"), None);
    }
}
