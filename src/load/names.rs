//! Lines of the kinds whose keys are domain names.

use super::{
    addresses::{claim, takes_exclamation},
    cursor::{Cursor, Wrong},
    dataset::{Reading, Shared},
    name::NameBuffer,
};
use crate::zone::names::{Names, NamesBuilder, Scope};

/// Entries of a dataset of names while its files are read.
#[derive(Default)]
pub(super) struct NameLines {
    builder: NamesBuilder,
}

impl NameLines {
    pub(super) fn line(
        &mut self,
        mut cursor: Cursor<'_>,
        shared: &mut Shared,
        reading: &mut Reading<'_>,
    ) -> Result<(), Wrong> {
        if cursor.peek() == Some(b':') {
            return shared.default_line(cursor, false, reading);
        }
        let is_exclusion = takes_exclamation(&mut cursor);
        let scope = match cursor.rest() {
            [b'*', b'.', ..] => Scope::Below,
            [b'.', ..] => Scope::Both,
            _ => Scope::Exact,
        };
        cursor.skip(match scope {
            Scope::Below => 2,
            Scope::Both => 1,
            Scope::Exact => 0,
        });
        let mut name = NameBuffer::new();
        name.read_below_root(&mut cursor)?;
        name.make_lowercase();
        if let Some(claim) = claim(cursor, is_exclusion, shared, reading)? {
            self.builder.add(name.as_wire(), scope, claim);
        }
        Ok(())
    }

    /// Freezes the entries.
    pub(super) fn build(self) -> Names {
        self.builder.build()
    }
}
