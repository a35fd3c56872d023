//! What came in by the doors that take messages, counted for Prometheus. Some thousand a second at most, so one cell for all
//! threads will do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::live::listings::Door;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upshot {
    /// What it asked for is done, or was so already.
    Done,
    /// It asked only, and was answered.
    Answered,
    /// It, or a part of it such as one line of many, was not done: its sender may not, a rule forbids it, or it is wrong.
    Refused,
    /// It was not done for a reason of ours, such as a full disk, or a zone that is not loaded.
    Failed,
}

impl Upshot {
    /// All of them with their names, each at its number.
    pub const ALL: [(Self, &str); 4] =
        [(Self::Done, "done"), (Self::Answered, "answered"), (Self::Refused, "refused"), (Self::Failed, "failed")];
}

/// Counts by door and upshot.
#[derive(Debug, Default)]
pub struct Tally([Row; Door::ALL.len()]);

/// What came in by one door.
#[derive(Debug, Default)]
struct Row {
    is_open: AtomicBool,
    counts: [AtomicU64; Upshot::ALL.len()],
}

impl Tally {
    /// A door opens. From then on it is among the [rows](Self::rows), so that whoever looks at what grows sees the first message.
    pub fn open(&self, door: Door) {
        self.0[door as usize].is_open.store(true, Ordering::Relaxed);
    }

    /// Counts a message.
    pub fn count(&self, door: Door, upshot: Upshot) {
        self.0[door as usize].counts[upshot as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts of the doors that are open, with the names of door and upshot.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let open = Door::ALL.iter().zip(&self.0).filter(|(_, row)| row.is_open.load(Ordering::Relaxed));
        open.flat_map(|(door, row)| {
            let count =
                |((_, upshot), count): (&(_, _), &AtomicU64)| (door.word(), *upshot, count.load(Ordering::Relaxed));
            Upshot::ALL.iter().zip(&row.counts).map(count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_in_its_own_cell() {
        let tally = Tally::default();
        assert!(Door::ALL.iter().enumerate().all(|(number, door)| *door as usize == number));
        assert_eq!(tally.rows().count(), 0, "all are shut");
        tally.open(Door::Rspamd);
        assert!(tally.rows().eq(Upshot::ALL.map(|(_, upshot)| ("rspamd", upshot, 0))));
        for (times, (upshot, _)) in Upshot::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| tally.count(Door::Rspamd, upshot));
        }
        let counted: Vec<_> = tally.rows().collect();
        assert_eq!(
            counted,
            [("rspamd", "done", 1), ("rspamd", "answered", 2), ("rspamd", "refused", 3), ("rspamd", "failed", 4)]
        );
    }
}
