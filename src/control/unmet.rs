//! Why a request about listings is not met, and as what it counts. Whoever asked wrongly is told so; where the store failed, an
//! alert has to go off, and so the two are kept apart from where they arise.

use tokio::task;

use super::{listings::ListingsAnswer, tally::Upshot};
use crate::live::listings::{Outcome, StoreError};

/// What is told, or why nothing is.
pub(super) type Told = Result<ListingsAnswer, Unmet>;

/// Why a request is not met.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unmet {
    /// It cannot be: there is no such zone, perhaps, or the key cannot be read.
    #[error("{0}")]
    Wrong(String),
    /// It could be, but for the store.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for Unmet {
    fn from(why: StoreError) -> Self {
        match why {
            // Where to was the asker's choice, and the store is well.
            StoreError::NotCopied(_) => Self::Wrong(why.to_string()),
            _ => Self::Failed(why.to_string()),
        }
    }
}

/// Whoever looked aside panicked, or the server ends.
impl From<task::JoinError> for Unmet {
    fn from(why: task::JoinError) -> Self {
        Self::Failed(why.to_string())
    }
}

/// What became of a request.
pub(super) fn upshot(told: &Told, asks_only: bool) -> Upshot {
    let is_refused = match told {
        Err(Unmet::Failed(_)) => return Upshot::Failed,
        Err(Unmet::Wrong(_)) => true,
        Ok(ListingsAnswer::Changed { changes }) => {
            changes.iter().any(|changed| matches!(changed.outcome, Outcome::Refused { .. }))
        }
        Ok(ListingsAnswer::Report { report }) => report.faulty > 0,
        Ok(_) => false,
    };
    match (is_refused, asks_only) {
        (true, _) => Upshot::Refused,
        (false, true) => Upshot::Answered,
        (false, false) => Upshot::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_ours_are_no_refusals() {
        let upshot_of = |why: StoreError| upshot(&Err(why.into()), false);
        for why in [
            StoreError::Busy,
            StoreError::Ending,
            StoreError::Unwritable("x".into()),
            StoreError::Unsure("x".into()),
            StoreError::Unreadable("x".into()),
            StoreError::InUse("x".into()),
            StoreError::Closed("x".into()),
        ] {
            assert_eq!(upshot_of(why), Upshot::Failed);
        }
        assert_eq!(upshot_of(StoreError::NotCopied("there is such a file already".into())), Upshot::Refused);
        assert_eq!(upshot(&Err(Unmet::Wrong("no zone x is served here".into())), true), Upshot::Refused);
        assert_eq!(upshot(&Ok(ListingsAnswer::History { events: Vec::new() }), true), Upshot::Answered);
    }
}
