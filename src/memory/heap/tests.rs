//! Heaps: that pieces do not touch each other, and that memory goes back.

use super::*;

/// A piece, filled with a byte that only it has.
struct Piece {
    at: NonNull<u8>,
    size: usize,
    filling: u8,
}

// SAFETY: it is used by one thread at a time.
unsafe impl Send for Piece {}

impl Piece {
    fn take(source: &impl Source, size: usize, filling: u8) -> Self {
        let at = source.piece(size).expect("there is memory");
        // SAFETY: it is so large.
        unsafe { at.write_bytes(filling, size) };
        Self { at, size, filling }
    }

    fn is_whole(&self) -> bool {
        // SAFETY: it was filled.
        let bytes = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.size) };
        *bytes == *vec![self.filling; self.size]
    }

    fn give_back(self) {
        assert!(self.is_whole(), "somebody else wrote into {} bytes", self.size);
        // SAFETY: it is given back once.
        unsafe { give_back(self.at, self.size) }
    }

    fn give_to(self, hand: &Hand) {
        assert!(self.is_whole(), "somebody else wrote into {} bytes", self.size);
        // SAFETY: it is given back once.
        unsafe { hand.give_back(self.at, self.size) }
    }
}

/// So many pieces are few.
const FEW: usize = if cfg!(miri) { 500 } else { 10_000 };

/// The largest piece.
const SIZE_MAX: usize = 64 * LINE;

#[test]
fn a_spare_chunk_is_the_next_one_or_goes_back() {
    let heap = Heap::new();
    heap.get_spare();
    assert!(!heap.has_spare(), "it is small");
    let spare = || heap.0.0.state.lock().spare;
    let mut pieces = Vec::new();
    let mut chunks = |count: usize| {
        while heap.0.0.state.lock().chunks.len() < count {
            pieces.push(heap.lines(64));
        }
        chunk_of(pieces.last().unwrap().address())
    };
    chunks(SMALL_CHUNKS + 1);
    heap.get_spare();
    let next = spare();
    heap.get_spare();
    assert!(next.is_some() && spare() == next, "one is enough");
    assert_eq!(Some(chunks(SMALL_CHUNKS + 2)), next.map(|chunk| chunk.as_ptr()));
    assert!(!heap.has_spare());
    heap.get_spare();
    assert!(heap.has_spare());
    heap.drop_spare();
    assert!(!heap.has_spare());
}

thread_local! {
    /// How many chunks this thread has got from the system and not given back.
    static MAPPED: std::cell::Cell<isize> = const { std::cell::Cell::new(0) };
}

pub(super) fn count_mapped(more: isize) {
    MAPPED.set(MAPPED.get() + more);
}

#[test]
fn a_spare_chunk_goes_back_when_its_heap_ends() {
    let before = MAPPED.get();
    for is_piece_kept in [false, true] {
        let heap = Heap::new();
        heap.foresee(SMALL_CHUNKS * CHUNK + 1);
        let piece = Piece::take(&heap, 40, 1);
        heap.get_spare();
        assert_eq!(MAPPED.get(), before + 2, "what a piece lies in, and the spare one");
        let (kept, done) = if is_piece_kept { (Some(piece), None) } else { (None, Some(piece)) };
        done.into_iter().for_each(Piece::give_back);
        drop(heap);
        assert_eq!(MAPPED.get(), before + isize::from(is_piece_kept));
        kept.into_iter().for_each(Piece::give_back);
        assert_eq!(MAPPED.get(), before);
    }
}

#[test]
fn a_heap_of_which_much_is_expected_has_large_pages_from_the_first_on() {
    for (expected, is_large) in [(SMALL_CHUNKS * CHUNK, false), (SMALL_CHUNKS * CHUNK + 1, true)] {
        let heap = Heap::new();
        heap.foresee(expected);
        let lines = heap.lines(1);
        // SAFETY: a piece of it is there.
        assert_eq!(unsafe { (*chunk_of(lines.address())).is_large }, is_large, "{expected}");
        drop((lines, heap));
    }
}

#[test]
fn who_takes_many_takes_them_in_the_order_in_which_they_lie() {
    let heap = Heap::new();
    let hand = Hand::new(&heap);
    let take = |n: usize| Piece::take(&Stock(&hand), [57, 128, 1_000, SIZE_MAX][n % 4], n as u8);
    let mut pieces: Vec<Piece> = (0..2_000).map(take).collect();
    for class in 0..4 {
        let places: Vec<usize> =
            pieces.iter().skip(class).step_by(4).map(|p| p.at.addr().get()).collect();
        let ups = places.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!(places.len() - 1 - ups <= 3, "one slab comes behind the other, but for chunks");
    }
    assert!(!hand.is_empty());
    // Those who take one at a time take them, too.
    let state = || heap.0.0.state.lock().in_use;
    let in_use = state();
    pieces.push(Piece::take(&hand, 57, 9));
    assert_eq!(state(), in_use);
    pieces.into_iter().for_each(|piece| piece.give_to(&hand));
    hand.put_down();
    assert!(hand.is_empty() && state() == 0);
}

#[test]
fn a_heap_has_no_larger_piece() {
    assert_eq!(Heap::new().take(SIZE_MAX + 1), None);
}

#[test]
fn pieces_lie_beside_each_other_and_are_used_again() {
    let heap = Heap::new();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let mut pieces = Vec::new();
    for round in 0..4 * FEW {
        if random(5) < if round % FEW < FEW / 2 { 3 } else { 1 } || pieces.is_empty() {
            let size = if random(3) == 0 { 1 + random(SIZE_MAX) } else { 1 + random(100) };
            pieces.push(Piece::take(&heap, size, random(256) as u8));
        } else {
            pieces.swap_remove(random(pieces.len())).give_back();
        }
    }
    // SAFETY: the pieces were not given back.
    assert!(pieces.iter().all(|piece| unsafe { heap.has(piece.at) && !Heap::new().has(piece.at) }));
    pieces.into_iter().for_each(Piece::give_back);
    assert!(heap.resident() <= (FREE_MIN + 1) * SLAB, "{}", heap.resident());
}

#[test]
fn what_is_at_hand_is_taken_again_and_is_not_kept_for_long() {
    let heap = Heap::new();
    let hand = Hand::new(&heap);
    assert!(hand.is_empty());
    let first = Piece::take(&hand, 57, 1);
    let at = first.at;
    first.give_to(&hand);
    assert!(!hand.is_empty());
    // Of the same class, and of another one.
    let (same, other) = (Piece::take(&hand, 60, 2), Piece::take(&hand, 61, 3));
    assert!(same.at == at && other.at != at && hand.is_empty());
    let mut pieces = vec![same, other];
    for round in 0..3 * FEW {
        let size = 8 + round.wrapping_mul(0x9e37_79b9) % 1_000;
        match round / (FEW / 10) % 2 {
            0 => pieces.push(Piece::take(&hand, size, round as u8)),
            // Some are given back by others.
            _ => match (pieces.pop(), round % 3) {
                (Some(piece), 0) => piece.give_back(),
                (Some(piece), _) => piece.give_to(&hand),
                (None, _) => {}
            },
        }
    }
    pieces.drain(..).for_each(|piece| piece.give_to(&hand));
    pieces.extend((0..2 * FEW).map(|n| Piece::take(&hand, 1_000, n as u8)));
    let full = heap.resident();
    pieces.into_iter().for_each(|piece| piece.give_to(&hand));
    assert!(heap.resident() < full / 2, "{} of {full}", heap.resident());
    hand.put_down();
    assert!(hand.is_empty());
    assert_eq!(heap.0.0.state.lock().in_use, 0);
}

#[test]
#[cfg_attr(miri, ignore = "a million pieces")]
fn what_is_given_back_goes_back_to_the_system() {
    let heap = Heap::new();
    let take = |count| (0..count).map(|n| Piece::take(&heap, 56, n as u8)).collect::<Vec<_>>();
    let pieces = take(1_000_000);
    let full = heap.resident();
    assert!((56_000_000..56_000_000 / 100 * 102).contains(&full), "{full}");
    let (few, many): (Vec<_>, Vec<_>) =
        pieces.into_iter().enumerate().partition(|(n, _)| n % 100_000 == 0);
    many.into_iter().for_each(|(_, piece)| piece.give_back());
    assert!(heap.resident() <= (few.len() + FREE_MIN) * SLAB, "{}", heap.resident());
    // What is free takes other sizes, and then the same memory again.
    let lines: Vec<Lines> = (0..100).map(|_| heap.lines(64)).collect();
    assert!(lines.iter().all(|lines| lines.address() % LINE == 0));
    drop(lines);
    take(1_000_000).into_iter().for_each(Piece::give_back);
    assert!(few.iter().all(|(_, piece)| piece.is_whole()));
    few.into_iter().for_each(|(_, piece)| piece.give_back());
    assert!(heap.resident() <= FREE_MIN * SLAB);
}

#[test]
fn lines_are_zero_even_where_others_were() {
    let heap = Heap::new();
    let piece = Piece::take(&heap, 64 * LINE, 255);
    let at = piece.at;
    let others = Piece::take(&heap, 64 * LINE, 255);
    piece.give_back();
    let lines = heap.lines(64);
    assert_eq!(lines.address(), at.as_ptr().addr());
    // SAFETY: they are so large.
    let bytes = unsafe { std::slice::from_raw_parts(at.as_ptr(), 64 * LINE) };
    assert!(bytes.iter().all(|byte| *byte == 0));
    others.give_back();
}

#[test]
#[cfg_attr(miri, ignore = "threads wait for each other as Miri does not know it")]
fn pieces_outlive_their_heap_in_any_thread() {
    let heap = Heap::new();
    let inner = heap.0.0;
    let pieces: Vec<Piece> = (0..FEW).map(|n| Piece::take(&heap, 40, n as u8)).collect();
    let mut threads = Vec::new();
    let mut pieces = pieces.into_iter();
    for _ in 0..4 {
        let some: Vec<Piece> = pieces.by_ref().take(FEW / 4).collect();
        threads.push(std::thread::spawn(|| some.into_iter().for_each(Piece::give_back)));
    }
    drop(heap);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    // Another heap may have it by now, but not these pieces.
    let again = Heap::new();
    assert!(inner.state.lock().chunks.is_empty() || !ptr::eq(again.0.0, inner));
}

#[test]
fn in_a_forked_child_nobody_waits_for_what_another_thread_was_doing() {
    let heap = Heap::new();
    let inner = heap.0.0;
    let piece = Piece::take(&heap, 40, 1);
    let (busy, _known) = (inner.state.lock(), INNERS.lock());
    // As if this were the child, and those who have the locks had not come along.
    inner.process.fetch_sub(1, Ordering::Relaxed);
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        piece.give_back();
        drop(heap);
        let own = Heap::new();
        Piece::take(&own, 40, 2).give_back();
        drop(own);
        done.send(())
    });
    is_done.recv_timeout(std::time::Duration::from_secs(60)).expect("it waits");
    assert_eq!(busy.in_use, 1, "the piece stays where it is");
}

#[test]
fn runs_of_ones() {
    let all = |bits| runs(bits).collect::<Vec<_>>();
    assert_eq!(all(0), []);
    assert_eq!(all(u128::MAX), [(0, 128)]);
    assert_eq!(all(0b1101), [(0, 1), (2, 2)]);
    assert_eq!(all(1 << 127 | 1), [(0, 1), (127, 1)]);
}
