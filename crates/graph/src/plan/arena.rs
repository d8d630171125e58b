//! Packs regions into one arena: largest first, each at the lowest offset where
//! nothing that lives at the same time lies (greedy by size, Pisarchyk and Lee
//! 2020, arXiv 2001.03288).

use super::Lifetime;

/// Every region starts at a multiple of this: one cache line, and the widest
/// vector.
pub const ALIGNMENT: usize = 64;

/// A part of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte; a multiple of [`ALIGNMENT`].
    pub offset: usize,
    /// Length.
    pub bytes: usize,
}

impl Region {
    /// Nothing.
    pub const EMPTY: Self = Self { offset: 0, bytes: 0 };

    fn end(&self) -> usize {
        self.offset + self.bytes
    }
}

/// Memory wanted for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// For the caller.
    pub owner: usize,
    pub bytes: usize,
    pub lifetime: Lifetime,
}

pub(super) struct Packed {
    /// In the order of the requests.
    pub regions: Vec<Region>,
    pub bytes: usize,
}

/// `None` if the offsets overflow.
pub(super) fn pack(requests: &[Request]) -> Option<Packed> {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(requests[i].bytes), i));
    let mut regions = vec![Region::EMPTY; requests.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0usize;
    for index in order {
        let request = &requests[index];
        if request.bytes == 0 {
            continue;
        }
        let meets = |&&other: &&usize| requests[other].lifetime.meets(&request.lifetime);
        let mut taken: Vec<Region> =
            placed.iter().filter(meets).map(|&other| regions[other]).collect();
        taken.sort_by_key(|region| region.offset);
        let offset = lowest_gap(&taken, request.bytes)?;
        regions[index] = Region { offset, bytes: request.bytes };
        total = total.max(offset.checked_add(request.bytes)?);
        placed.push(index);
    }
    Some(Packed { regions, bytes: total })
}

/// The lowest aligned offset with `bytes` free bytes between regions sorted by offset.
fn lowest_gap(taken: &[Region], bytes: usize) -> Option<usize> {
    let mut offset = 0usize;
    for region in taken {
        if offset.checked_add(bytes)? <= region.offset {
            break;
        }
        offset = offset.max(region.end().checked_next_multiple_of(ALIGNMENT)?);
    }
    Some(offset)
}

/// The most bytes that live at one moment.
pub(super) fn floor(requests: &[Request]) -> usize {
    let end = requests.iter().map(|request| request.lifetime.last + 1).max().unwrap_or(0);
    let mut change = vec![0i128; end + 1];
    for request in requests {
        change[request.lifetime.first] += request.bytes as i128;
        change[request.lifetime.last + 1] -= request.bytes as i128;
    }
    let live = change.iter().scan(0, |sum, &step| {
        *sum += step;
        Some(*sum)
    });
    usize::try_from(live.max().unwrap_or(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that the property below sees many shapes of request.
    fn requests(seed: u64) -> Vec<Request> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % below
        };
        (0..60)
            .map(|owner| {
                let first = next(40);
                let lifetime = Lifetime { first, last: first + next(15) };
                Request { owner, bytes: next(5000), lifetime }
            })
            .collect()
    }

    #[test]
    fn regions_that_meet_in_time_never_meet_in_space() {
        for seed in 0..200 {
            let requests = requests(seed);
            let packed = pack(&requests).unwrap();
            for (i, a) in requests.iter().enumerate() {
                let region = packed.regions[i];
                assert_eq!(region.offset % ALIGNMENT, 0);
                assert!(region.end() <= packed.bytes);
                for (j, b) in requests.iter().enumerate().skip(i + 1) {
                    let other = packed.regions[j];
                    let apart = region.end() <= other.offset || other.end() <= region.offset;
                    let empty = a.bytes == 0 || b.bytes == 0;
                    assert!(
                        apart || empty || !a.lifetime.meets(&b.lifetime),
                        "seed {seed}: {i}, {j}"
                    );
                }
            }
            assert!(packed.bytes >= floor(&requests));
        }
    }

    #[test]
    fn disjoint_lifetimes_share_memory() {
        let request =
            |owner, first, last| Request { owner, bytes: 1000, lifetime: Lifetime { first, last } };
        let packed = pack(&[request(0, 0, 1), request(1, 2, 3), request(2, 1, 2)]).unwrap();
        assert_eq!(packed.bytes, 1024 + 1000);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let request = |owner| Request {
            owner,
            bytes: usize::MAX / 2 + 1,
            lifetime: Lifetime { first: 0, last: 0 },
        };
        assert!(pack(&[request(0), request(1)]).is_none());
    }
}
