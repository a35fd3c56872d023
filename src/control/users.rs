//! Names of the users whom the kernel tells by number. To look one up may mean to ask another machine, and a scanner sends
//! datagrams by the thousand to one thread: so whoever asks for many remembers the last few for a while.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a name is remembered: whoever is renamed is known by the new name soon.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Names that are remembered at most. A machine has few programs that list anything.
const REMEMBERED_MAX: usize = 16;

/// The name of a user, or the number where there is no name. It may be asked of another machine, and waited for.
pub(super) fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// The users that were asked for last, by number, with their names and when those were looked up; the newest first.
#[derive(Debug, Default)]
pub(super) struct RecentUsers(VecDeque<(u32, String, Instant)>);

impl RecentUsers {
    /// The name of a user, looked up if it is not remembered.
    pub(super) fn name(&mut self, uid: u32, now: Instant, look_up: impl FnOnce(u32) -> String) -> String {
        self.0.retain(|(.., at)| now.duration_since(*at) < REMEMBERED);
        if let Some((_, name, _)) = self.0.iter().find(|(known, ..)| *known == uid) {
            return name.clone();
        }
        let name = look_up(uid);
        self.0.push_front((uid, name.clone(), now));
        self.0.truncate(REMEMBERED_MAX);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_once_a_minute() {
        let (mut users, begun) = (RecentUsers::default(), Instant::now());
        let mut looked_up = Vec::new();
        let mut ask = |uid: u32, after_s: u64| {
            let look_up = |uid| {
                looked_up.push((uid, after_s));
                format!("user {uid} of second {after_s}")
            };
            users.name(uid, begun + Duration::from_secs(after_s), look_up)
        };
        assert_eq!(ask(7, 0), "user 7 of second 0");
        assert_eq!((ask(7, 59), ask(8, 59)), ("user 7 of second 0".to_owned(), "user 8 of second 59".to_owned()));
        assert_eq!((ask(7, 60), ask(8, 60)), ("user 7 of second 60".to_owned(), "user 8 of second 59".to_owned()));
        for uid in 100..100 + REMEMBERED_MAX as u32 {
            ask(uid, 61);
        }
        ask(115, 62);
        assert_eq!(ask(7, 62), "user 7 of second 62", "the last few");
        assert_eq!(looked_up.len(), 3 + REMEMBERED_MAX + 1);
    }
}
