//! Keys for tests: from all over the space of addresses or of names, and nearly those that there are.

use rand::{Rng, rngs::SmallRng};

use super::{ruling::Claim, values::ValueId};

/// Labels from the right, so that what is below a name comes right after it.
pub(super) type Path = Vec<Vec<u8>>;

/// The bits of an address that has so many which are beyond a prefix.
pub(super) fn host_mask(bits: u8, length: u8) -> u128 {
    let all = u128::MAX >> (128 - bits);
    all.checked_shr(length.into()).unwrap_or(0)
}

/// An address that has some of its bits from another.
pub(super) fn alike(random: &mut SmallRng, bits: u8, other: u128) -> u128 {
    let all = host_mask(bits, 0);
    let shift = random.random_range(0..bits);
    let low = all >> shift;
    let address = match random.random_range(0..8) {
        0 => other ^ 1 << shift,
        1 => other.wrapping_add(1 << shift),
        2 => other.wrapping_sub(1 << shift),
        3 => other & !low | random.random::<u128>() & low,
        4 => other & low | random.random::<u128>() & !low,
        5 => other & !low,
        6 => other | low,
        _ => other & low,
    };
    address & all
}

/// A name on the wire.
pub(super) fn to_wire(path: &[Vec<u8>]) -> Vec<u8> {
    let labels = path.iter().rev().flat_map(|label| [&[label.len() as u8], &label[..]].concat());
    labels.chain([0]).collect()
}

/// One of so many labels of all lengths.
pub(super) fn random_label(random: &mut SmallRng, pool: u32) -> Vec<u8> {
    let number = random.random_range(0..pool);
    match number % 8 {
        0 => format!("{number}").into_bytes(),
        1 => format!("mail-{number}").into_bytes(),
        2 => vec![b'l'; (number % 63) as usize + 1],
        3 => (number % 6_000).to_be_bytes().map(|octet| octet.to_ascii_lowercase()).to_vec(),
        4 => format!("a-label-of-some-length-that-is-{number}-long").into_bytes(),
        _ => format!("{:x}", number.wrapping_mul(2_654_435_761)).into_bytes(),
    }
}

/// A name that is nearly that one.
pub(super) fn alike_name(random: &mut SmallRng, path: &[Vec<u8>], pool: u32) -> Path {
    let mut path = path.to_vec();
    let at = random.random_range(0..path.len().max(1));
    match random.random_range(0..8) {
        0 => path.push(random_label(random, pool)),
        1 => path.insert(at, random_label(random, pool)),
        2 => path.truncate(at),
        3 if !path.is_empty() => path[at] = random_label(random, pool),
        4 if !path.is_empty() => _ = path.remove(at),
        5 if path.get(at).is_some_and(|label| label.len() > 1) => _ = path[at].pop(),
        6 if path.get(at).is_some_and(|label| label.len() < 63) => path[at].push(b'x'),
        7 if !path.is_empty() => {
            let octet = random.random_range(0..path[at].len());
            path[at][octet] = (path[at][octet] ^ 1).to_ascii_lowercase();
        }
        _ => {}
    }
    path
}

/// A second around the ends of what [random claims](super::ruling::Claim::random) say: mostly of the first ones, or far from those.
pub(super) fn random_now_s(random: &mut SmallRng) -> u64 {
    match random.random_range(0..60) {
        0 => random.random::<u32>().into(),
        1..4 => u64::from(u32::MAX) + 1 - random.random_range(0..5),
        4 => 1 << 40,
        _ => random.random_range(0..7),
    }
}

/// How many different values a random list has: few, or more than two octets can tell apart.
pub(super) fn random_value_count(random: &mut SmallRng) -> u32 {
    if random.random_ratio(1, 4) { VALUES_MOST } else { 5 }
}

/// The most of them.
const VALUES_MOST: u32 = 1 << 17;

/// How one of the parts that a set is put together from numbers the values.
#[derive(Clone, Copy)]
pub(super) struct Numbering(u32);

impl Numbering {
    /// Perhaps as the set itself does.
    pub(super) fn random(random: &mut SmallRng) -> Self {
        Self(random.random_range(0..4))
    }

    /// A claim in the words of the part.
    pub(super) fn claim(self, claim: Claim) -> Claim {
        Claim { value: claim.value.map(|value| ValueId((value.0 + self.0) % VALUES_MOST)), ..claim }
    }

    /// What the values of the part are.
    pub(super) fn values(self) -> Vec<ValueId> {
        (0..VALUES_MOST).map(|number| ValueId((number + VALUES_MOST - self.0) % VALUES_MOST)).collect()
    }
}

/// How many rounds a test of random sets goes, which may be told to go more.
pub(super) fn rounds(usual: u64) -> u64 {
    std::env::var("DNSBLD_WIDE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
