//! Where the functions of a module are: what it exports, and else what its file's symbol table says.

#![forbid(unsafe_code)]

use std::ffi::CStr;

use crate::module::Module;

mod symbol_table;

/// The addresses of `names` in `module` itself, in their order; `None` for those it has not.
///
/// What a name means elsewhere in the process never counts: there may be several librdkafkas.
pub(crate) fn find(module: &Module, names: &[&CStr]) -> Vec<Option<usize>> {
    let mut found: Vec<_> = match module.open() {
        Some(handle) => {
            let exported = |name: &&CStr| handle.symbol(name).filter(|address| module.contains(*address));
            names.iter().map(exported).collect()
        }
        None => vec![None; names.len()],
    };
    if found.contains(&None) {
        let in_file = symbol_table::find(module, names);
        for (found, in_file) in found.iter_mut().zip(in_file) {
            *found = found.or(in_file);
        }
    }
    found
}
