//! What is not taken of a batch.

use tracer_plugin_api::{BackendError, ErrorKind};

/// Counts the items of one batch that were refused, while the others went on.
#[derive(Debug, Default)]
pub struct Refused {
    items: u32,
    last: Option<BackendError>,
}

impl Refused {
    /// Some `items` more, for the reason of `error`.
    pub fn add(&mut self, items: u32, error: BackendError) {
        self.items = self.items.saturating_add(items);
        self.last = Some(error);
    }

    /// How many there are so far.
    pub fn items(&self) -> u32 {
        self.items
    }

    /// What became of a batch of which `sent` items were sent, and `without_ids` were not: they would spoil the others.
    ///
    /// # Errors
    ///
    /// If all that were sent were refused for good, the last reason; if some were refused or left out, a partial success.
    pub fn into_result(self, sent: u32, without_ids: u32) -> Result<(), BackendError> {
        match self.last {
            Some(error) if error.kind() == ErrorKind::Permanent && self.items >= sent => Err(error),
            // A server may count more than there were.
            Some(error) => {
                Err(BackendError::partial(self.items.min(sent).saturating_add(without_ids), error.message()))
            }
            None if without_ids > 0 => {
                Err(BackendError::partial(without_ids, "spans without a valid trace id and span id cannot be sent"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(refused: &[(u32, BackendError)], sent: u32, without_ids: u32) -> Option<(ErrorKind, u32)> {
        let mut all = Refused::default();
        refused.iter().for_each(|(spans, error)| all.add(*spans, error.clone()));
        all.into_result(sent, without_ids).err().map(|error| (error.kind(), error.rejected_items()))
    }

    #[test]
    fn a_batch_is_taken_wholly_in_part_or_not_at_all() {
        let no = BackendError::permanent("no");
        let partial = BackendError::partial(2, "too old");
        assert_eq!(result(&[], 5, 0), None);
        assert_eq!(result(&[], 5, 1), Some((ErrorKind::Partial, 1)));
        assert_eq!(result(&[(2, no.clone())], 5, 1), Some((ErrorKind::Partial, 3)));
        assert_eq!(result(&[(2, no.clone()), (3, no)], 5, 1), Some((ErrorKind::Permanent, 0)));
        assert_eq!(result(&[(2, partial.clone()), (3, partial)], 5, 0), Some((ErrorKind::Partial, 5)));
        let far_too_many = BackendError::partial(u32::MAX, "what?");
        assert_eq!(result(&[(u32::MAX, far_too_many)], 5, 1), Some((ErrorKind::Partial, 6)));
    }
}
