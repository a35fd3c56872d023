//! What changes while the server runs: which files there are, what was loaded from them, and what is served.
//!
//! ```text
//! zones.rs            what is to be served: folders and specifications become (zone, type, files)
//! loading.rs          loads them, several at a time
//! reading.rs          reads the files of one, large ones in parts
//! opened.rs           a file while it is read: whether it is still what it was
//! assembly.rs         puts zones together from what is good
//! retirement.rs       what a list that has ended keeps of its other files
//! reloader.rs         which files changed; what of them goes live
//! report.rs           what a look at the files did
//! held.rs             what is known of one dataset: whether it is quiet, good, over
//! status.rs           what others may know of all that
//! served.rs           the one pointer that workers read
//! refusal.rs          which of what was loaded must not go live all the same
//! listings/           what is listed by command, and where that is kept
//! kept.rs             the last good version of each dataset, for the next start
//! start_file.rs       the configuration file and those it names, and whether they were changed since the start
//! state.rs            the folder for all that is to outlive the server, made again when it is gone
//! memory.rs           what a reload took goes back to the system
//! clock.rs            the one place that reads the wall clock
//! watch.rs            who says that something may have changed: the kernel, a signal, the clock
//! asked.rs            what people ask about
//! drops.rs            what would change if files were dropped
//! citations.rs        which line of which file says so
//! printable.rs        what others wrote, so that it forges no line of a log and commands no terminal
//! watched_folders.rs  where the kernel is to look: folders, and the links on the way to them
//! ```

pub mod asked;
mod assembly;
pub mod citations;
pub mod clock;
pub mod drops;
mod held;
pub mod kept;
pub mod listings;
pub mod loading;
pub mod memory;
mod opened;
pub mod printable;
mod reading;
pub mod refusal;
pub mod reloader;
pub mod report;
mod retirement;
pub mod served;
pub mod start_file;
pub mod state;
pub mod status;
pub mod watch;
mod watched_folders;
pub mod zones;
