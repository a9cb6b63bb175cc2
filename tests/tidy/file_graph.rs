//! Which file of a crate uses which: read from its paths, looked through whatever only passes a name on.
//!
//! An arrow goes from the file that names something to the file that defines it, whichever files re-export it on the way.
//! A parent's `mod` and `pub use` lines are no arrows by themselves: what it passes on it does not use, unless its own code
//! names it too.

use std::collections::{BTreeMap, BTreeSet};

/// A file of a crate, by the path of its module; the root's is empty.
pub(crate) struct Graph {
    files: BTreeMap<Vec<String>, File>,
}

struct File {
    path: String,
    /// What `use` brings in, passed on or not.
    imports: Vec<Import>,
    /// Paths in the code itself that start at the crate, at a parent or at a child.
    inline: Vec<Vec<String>>,
    /// Every name in the code outside `use`.
    names: BTreeSet<String>,
    /// What it defines.
    items: BTreeSet<String>,
}

struct Import {
    path: Vec<String>,
    /// `*`: all that there is; `_`: a trait's methods.
    name: String,
    is_passed_on: bool,
}

/// Keywords before the name of what is defined.
const DEFINES: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];

impl Graph {
    /// The crate whose root file is `root`, out of `(path, text)` of all files; what is for tests only is passed over.
    pub(crate) fn of<'a>(root: &str, files: impl Iterator<Item = (&'a str, String)>) -> Self {
        let folder = root.rsplit_once('/').unwrap().0;
        let mut graph = Self { files: BTreeMap::new() };
        for (path, code) in files {
            let Some(inside) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else { continue };
            let is_root = path == root;
            if inside.starts_with("bin/") || !is_root && ["lib.rs", "main.rs"].contains(&inside) {
                continue;
            }
            let module: Vec<_> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            graph.files.insert(if is_root { Vec::new() } else { module }, File::read(path, &tokens(&code)));
        }
        graph
    }

    /// The files that use each other, by whatever way round: each ring with its arrows.
    pub(crate) fn rings(&self) -> Vec<String> {
        let arrows: BTreeMap<_, _> = self.files.keys().map(|module| (module, self.used_by(module))).collect();
        let reaches = |from: &Vec<String>| {
            let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
            while let Some(module) = left.pop() {
                left.extend(arrows[module].iter().filter(|next| seen.insert((*next).clone())));
            }
            seen
        };
        let reach: BTreeMap<_, _> = self.files.keys().map(|module| (module, reaches(module))).collect();
        let together =
            |one: &Vec<String>, other: &Vec<String>| reach[one].contains(other) && reach[other].contains(one);
        let mut rings = BTreeMap::<Vec<&Vec<String>>, String>::new();
        for module in self.files.keys().filter(|module| together(module, module)) {
            let members: Vec<_> = self.files.keys().filter(|other| together(module, other)).collect();
            let path = |module: &Vec<String>| self.files[module].path.as_str();
            let inside = arrows[module].iter().filter(|next| members.contains(next)).map(path);
            let line = format!("{} uses {}\n", path(module), inside.collect::<Vec<_>>().join(", "));
            rings.entry(members).or_default().push_str(&line);
        }
        rings.into_values().collect()
    }

    fn used_by(&self, module: &[String]) -> BTreeSet<Vec<String>> {
        let file = &self.files[module];
        let imported = file
            .imports
            .iter()
            .filter(|import| !import.is_passed_on || file.names.contains(&import.name))
            .map(|import| &import.path);
        let mut used: BTreeSet<_> =
            imported.chain(&file.inline).filter_map(|path| self.definer(module, path, 0)).collect();
        used.remove(module);
        used
    }

    /// The file that defines what `path` names in `module`; `None`: another crate's.
    fn definer(&self, module: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        let (first, mut rest) = path.split_first()?;
        let mut at = module.to_vec();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            child if self.files.contains_key(&join(module, child)) => at.push(child.to_owned()),
            // What the file itself imports or defines has its arrow by that.
            _ => return None,
        }
        while let Some((next, after)) = rest.split_first() {
            if next == "super" {
                at.pop();
            } else if self.files.contains_key(&join(&at, next)) {
                at.push(next.clone());
            } else {
                return self.passed_on(&at, next, depth).unwrap_or(Some(at));
            }
            rest = after;
        }
        Some(at)
    }

    /// Who defines `name`, if `module` only passes it on; `Some(None)`: another crate.
    fn passed_on(&self, module: &[String], name: &str, depth: usize) -> Option<Option<Vec<String>>> {
        let file = self.files.get(module).filter(|_| depth < 8)?;
        if let Some(import) = file.imports.iter().find(|import| import.name == name) {
            return Some(self.definer(module, &import.path, depth + 1));
        }
        let globs = file.imports.iter().filter(|import| import.name == "*" && !file.items.contains(name));
        globs.filter_map(|import| self.definer(module, &import.path, depth + 1)).find_map(|source| {
            let defines = self.files[&source].items.contains(name);
            if defines { Some(Some(source)) } else { self.passed_on(&source, name, depth + 1) }
        })
    }
}

impl File {
    fn read(path: &str, tokens: &[String]) -> Self {
        let (names, items) = (BTreeSet::new(), BTreeSet::new());
        let mut file = Self { path: path.to_owned(), imports: Vec::new(), inline: Vec::new(), names, items };
        let (mut at, mut passes_on) = (0, false);
        while let Some(token) = tokens.get(at) {
            match token.as_str() {
                "#" if starts_test_item(&tokens[at..]) => at = end_of_item(tokens, at + 7),
                "pub" => {
                    passes_on = true;
                    at += 1;
                    if tokens[at] == "(" {
                        at += tokens[at..].iter().position(|token| token == ")").unwrap() + 1;
                    }
                    continue;
                }
                "use" => {
                    let end = at + tokens[at..].iter().position(|token| token == ";").unwrap();
                    file.import(&[], &tokens[at + 1..end], passes_on);
                    at = end;
                }
                word if DEFINES.contains(&word) => {
                    let name = tokens[at + 1..].iter().find(|token| is_name(token) && *token != "fn");
                    file.items.extend(name.cloned());
                    at += 1;
                }
                word if is_name(word) => {
                    let mut path = vec![word.to_owned()];
                    while tokens.get(at + 1).is_some_and(|next| next == "::") && is_name(&tokens[at + 2]) {
                        at += 2;
                        path.push(tokens[at].clone());
                    }
                    file.names.insert(path[0].clone());
                    file.inline.push(path);
                    at += 1;
                }
                _ => at += 1,
            }
            passes_on = false;
        }
        file.inline.retain(|path| path.len() > 1);
        file
    }

    /// Reads one path or group of a `use`, below `prefix`.
    fn import(&mut self, prefix: &[String], tokens: &[String], is_passed_on: bool) {
        let mut path = prefix.to_vec();
        let mut rest = tokens;
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            match token.as_str() {
                "::" => {}
                "{" => {
                    let (mut depth, mut start) = (0, 0);
                    for (place, token) in after.iter().enumerate() {
                        match token.as_str() {
                            "{" => depth += 1,
                            "}" if depth > 0 => depth -= 1,
                            "," | "}" if depth == 0 => {
                                if start < place {
                                    self.import(&path, &after[start..place], is_passed_on);
                                }
                                start = place + 1;
                            }
                            _ => {}
                        }
                    }
                    return;
                }
                "as" => {
                    return self.imports.push(Import { path, name: after[0].clone(), is_passed_on });
                }
                "*" => {
                    return self.imports.push(Import { path, name: "*".to_owned(), is_passed_on });
                }
                "self" if !path.is_empty() => {}
                name => path.push(name.to_owned()),
            }
        }
        let name = path.last().cloned().unwrap_or_default();
        self.imports.push(Import { path, name, is_passed_on });
    }
}

fn join(module: &[String], child: &str) -> Vec<String> {
    module.iter().cloned().chain([child.to_owned()]).collect()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn starts_test_item(tokens: &[String]) -> bool {
    tokens.iter().take(7).map(String::as_str).eq(["#", "[", "cfg", "(", "test", ")", "]"])
}

/// Where the item at `at` ends: behind its semicolon, or behind its braces.
fn end_of_item(tokens: &[String], at: usize) -> usize {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token.as_str() {
            "{" => depth += 1,
            "}" if depth > 1 => depth -= 1,
            "}" => return place + 1,
            ";" if depth == 0 => return place + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Names, `::` and single characters; without comments, strings and characters.
fn tokens(code: &str) -> Vec<String> {
    let characters: Vec<char> = code.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    let is_word = |at: usize| characters.get(at).is_some_and(|c: &char| c.is_alphanumeric() || *c == '_');
    while let Some(&character) = characters.get(at) {
        let rest = &characters[at..];
        match character {
            '/' if rest.get(1) == Some(&'/') => at += rest.iter().take_while(|c| **c != '\n').count(),
            'r' | 'b' | 'c' if raw_hashes(rest).is_some() && (at == 0 || !is_word(at - 1)) => {
                let hashes = raw_hashes(rest).unwrap();
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                at += rest.iter().position(|c| *c == '"').unwrap() + 1;
                at += characters[at..].windows(end.len()).position(|some| some == end).unwrap() + end.len();
            }
            '"' => {
                at += 1;
                while characters[at] != '"' {
                    at += if characters[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
            }
            '\'' if rest.get(1) == Some(&'\\') => {
                at += 3 + characters[at + 3..].iter().position(|c| *c == '\'').unwrap() + 1;
            }
            '\'' if rest.get(2) == Some(&'\'') => at += 3,
            _ if is_word(at) => {
                let start = at;
                while is_word(at) {
                    at += 1;
                }
                tokens.push(characters[start..at].iter().collect());
            }
            ':' if rest.get(1) == Some(&':') => {
                tokens.push("::".to_owned());
                at += 2;
            }
            _ => {
                if !character.is_whitespace() {
                    tokens.push(character.to_string());
                }
                at += 1;
            }
        }
    }
    tokens
}

/// Of a raw string that starts here: how many `#` it has.
fn raw_hashes(text: &[char]) -> Option<usize> {
    let after = text.iter().skip_while(|c| ['b', 'c'].contains(c)).collect::<Vec<_>>();
    let after = after.strip_prefix(&[&'r'])?;
    let hashes = after.iter().take_while(|c| ***c == '#').count();
    (after.get(hashes) == Some(&&'"')).then_some(hashes)
}

#[test]
fn a_ring_is_found_whichever_files_pass_the_names_on() {
    let of = |files: &[(&'static str, &str)]| {
        let all: Vec<_> = files.iter().map(|(path, code)| (*path, (*code).to_owned())).collect();
        Graph::of("a/src/lib.rs", all.into_iter()).rings()
    };
    let lib = ("a/src/lib.rs", "mod shop;\npub use shop::Order;");
    let shop =
        ("a/src/shop.rs", "mod cart;\nmod order;\npub use cart::*;\npub(crate) use order::{Line as Row, Order};");
    let cart = "use crate::Order;\npub struct Cart(Order);";
    let order = "#[cfg(test)]\nuse super::Cart;\npub struct Order;\npub struct Line;";
    assert_eq!(of(&[lib, shop, ("a/src/shop/cart.rs", cart), ("a/src/shop/order.rs", order)]), [""; 0]);
    for back in ["use super::Cart;", "fn f() { super::cart::new() }", "use crate::shop::{self, Cart as _};"] {
        let order = format!("{order}\n{back}");
        let rings = of(&[lib, shop, ("a/src/shop/cart.rs", cart), ("a/src/shop/order.rs", &order)]);
        assert_eq!(
            rings,
            ["a/src/shop/cart.rs uses a/src/shop/order.rs\na/src/shop/order.rs uses a/src/shop/cart.rs\n"],
            "{back}"
        );
    }
    let uses_its_child = ("a/src/shop.rs", "mod cart;\npub use cart::Cart;\npub struct Till;\nfn f(_: Cart) {}");
    let rings = of(&[("a/src/lib.rs", "mod shop;"), uses_its_child, ("a/src/shop/cart.rs", "use super::Till;")]);
    assert_eq!(rings.len(), 1, "{rings:?}");
    let strings =
        ("a/src/shop/cart.rs", "fn f() -> &str { r#\"super::Till\"# }\nfn g() { \"super::Till\"; '\"'; super::h() }");
    assert_eq!(of(&[("a/src/lib.rs", "mod shop;"), ("a/src/shop.rs", "fn h() {}"), strings]), [""; 0]);
}
