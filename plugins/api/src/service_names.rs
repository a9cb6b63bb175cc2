//! Whose items a batch has.

use std::fmt;

use crate::abi::tracer_str;

/// The distinct services of a batch, in no order: `service.name` of its resources, read without decoding the body.
#[derive(Clone, Copy)]
pub struct ServiceNames<'a>(Names<'a>);

#[derive(Clone, Copy)]
enum Names<'a> {
    Given(&'a [&'a str]),
    /// Of a host's: each is readable for `'a`, as `lent` was promised.
    Lent(&'a [tracer_str]),
}

// SAFETY: only read, and borrowed for `'a` as a `&str` is.
unsafe impl Send for ServiceNames<'_> {}
// SAFETY: as above.
unsafe impl Sync for ServiceNames<'_> {}

impl<'a> ServiceNames<'a> {
    /// For tests.
    pub const fn given(names: &'a [&'a str]) -> Self {
        Self(Names::Given(names))
    }

    /// None is known.
    pub const fn unknown() -> Self {
        Self(Names::Given(&[]))
    }

    /// Those of a batch of the host's.
    ///
    /// # Safety
    ///
    /// `names` is null or points to `count` texts; they and what they point to live and do not change for `'a`.
    pub(crate) unsafe fn lent(names: *const tracer_str, count: u32) -> Self {
        if names.is_null() || !names.is_aligned() {
            return Self::unknown();
        }
        // SAFETY: not null and aligned; the caller vouches for the rest.
        Self(Names::Lent(unsafe { std::slice::from_raw_parts(names, count as usize) }))
    }

    /// One after the other. A name that is not UTF-8 is left out.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let (given, lent): (&'a [&'a str], &'a [tracer_str]) = match self.0 {
            Names::Given(names) => (names, &[]),
            Names::Lent(names) => (&[], names),
        };
        // SAFETY: `lent` was promised that they are readable for `'a`.
        let lent = lent.iter().filter_map(|name| std::str::from_utf8(unsafe { name.as_bytes() }).ok());
        given.iter().copied().chain(lent)
    }

    /// How many.
    pub const fn len(self) -> usize {
        match self.0 {
            Names::Given(names) => names.len(),
            Names::Lent(names) => names.len(),
        }
    }

    /// Whether none is known.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for ServiceNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_wherever_they_come_from() {
        let lent = [tracer_str::new("orders"), tracer_str::new(""), tracer_bytes_that_are_no_text()];
        // SAFETY: all of them are static.
        let lent = unsafe { ServiceNames::lent(lent.as_ptr(), 3) };
        assert_eq!((lent.len(), lent.iter().collect::<Vec<_>>()), (3, vec!["orders", ""]));
        assert_eq!(format!("{:?}", ServiceNames::given(&["a", "b"])), r#"["a", "b"]"#);
        // SAFETY: null is allowed, whatever the count says.
        assert!(unsafe { ServiceNames::lent(std::ptr::null(), 7) }.is_empty());
    }

    fn tracer_bytes_that_are_no_text() -> tracer_str {
        tracer_str { ptr: b"\xff".as_ptr(), len: 1 }
    }
}
