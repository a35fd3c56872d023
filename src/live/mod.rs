//! What changes while the server runs: which files there are, what was loaded from them, and what is served.
//!
//! ```text
//! zones.rs     what is to be served: folders and specifications become (zone, type, files)
//! loading.rs    reads their files, several at a time
//! assembly.rs   puts zones together from what is good
//! reloader.rs   which files changed; what of them goes live
//! served.rs    the one pointer that workers read
//! refusal.rs   which of what was loaded must not go live all the same
//! kept.rs      the last good version of each dataset, for the next start
//! watch.rs     who says that something may have changed: the kernel, a signal, the clock
//! ```

mod assembly;
pub mod clock;
pub mod kept;
pub mod loading;
pub mod refusal;
pub mod reloader;
pub mod served;
pub mod watch;
pub mod zones;
