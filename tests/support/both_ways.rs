//! The usual question is answered in one go, and could be answered the long way: whoever asks in a test has both compared.

use dnsbld::{
    answer::{self, Client, Outcome, World},
    wire::name::QueryName,
};

/// Answers as the server does.
///
/// # Panics
/// If the long way leads somewhere else.
pub(crate) fn answer(world: World<'_>, client: Client, request: &[u8], buffer: &mut [u8]) -> Outcome {
    let mut other = vec![0; buffer.len()];
    let in_full = answer::answer_in_full(&mut QueryName::new(), &world, &client, request, &mut other);
    let outcome = answer::answer(world, client, request, buffer);
    assert_eq!(outcome, in_full, "{request:02x?}");
    assert_eq!(buffer[..usize::from(outcome.reply_len)], other[..usize::from(in_full.reply_len)], "{request:02x?}");
    outcome
}
