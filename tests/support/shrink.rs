//! A long list of commands that shows a fault becomes a short one, so that somebody can read it.

/// In a list that has no more elements than this, each pair is tried.
const PAIRED: usize = 30;

/// What is left of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk<T> {
    /// It still shows the fault.
    pub list: Vec<T>,
    /// Whether each of its elements is needed, and of few ones each pair. If not, there was no time
    /// to find out.
    pub least: bool,
}

/// There is no time for further tries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Enough;

/// Shortens a list that shows a fault: cuts off what comes after the fault, keeps only what is
/// `likely` to have to do with it if that does, and then leaves out ever smaller pieces, and pairs.
/// `None` where the list doesn't show the fault when it is tried again.
pub fn shrink<T: Clone>(
    list: &[T],
    likely: impl Fn(&T) -> bool,
    mut shows: impl FnMut(&[T]) -> Result<bool, Enough>,
) -> Option<Shrunk<T>> {
    if shows(list) != Ok(true) {
        return None;
    }
    let mut list = list.to_vec();
    let done = cut_off(&mut list, &mut shows)
        .and_then(|()| keep(&mut list, likely, &mut shows))
        .and_then(|()| leave_out(&mut list, &mut shows))
        .and_then(|()| leave_out_pairs(&mut list, &mut shows));
    Some(Shrunk { list, least: done.is_ok() })
}

/// Ends the list where it begins to show the fault: without its last element it does not.
fn cut_off<T>(
    list: &mut Vec<T>,
    shows: &mut impl FnMut(&[T]) -> Result<bool, Enough>,
) -> Result<(), Enough> {
    let mut without = 0;
    while list.len() - without > 1 {
        let middle = without + (list.len() - without) / 2;
        if shows(&list[..middle])? { list.truncate(middle) } else { without = middle }
    }
    Ok(())
}

fn keep<T: Clone>(
    list: &mut Vec<T>,
    likely: impl Fn(&T) -> bool,
    shows: &mut impl FnMut(&[T]) -> Result<bool, Enough>,
) -> Result<(), Enough> {
    let few: Vec<T> = list.iter().filter(|&one| likely(one)).cloned().collect();
    if few.len() < list.len() && shows(&few)? {
        *list = few;
    }
    Ok(())
}

/// Leaves out pieces of half the list, then of a quarter, and so on; single elements again and
/// again until all are needed.
fn leave_out<T: Clone>(
    list: &mut Vec<T>,
    shows: &mut impl FnMut(&[T]) -> Result<bool, Enough>,
) -> Result<(), Enough> {
    let mut size = list.len().div_ceil(2);
    loop {
        let before = list.len();
        let mut at = 0;
        while at < list.len() {
            let end = list.len().min(at + size);
            let rest = [&list[..at], &list[end..]].concat();
            if !rest.is_empty() && shows(&rest)? { *list = rest } else { at = end }
        }
        let shorter = list.len() < before;
        if size == 1 && !shorter {
            return Ok(());
        }
        let half = list.len().div_ceil(2);
        size = if shorter { size.min(half) } else { (size / 2).max(1) };
    }
}

/// Leaves out two elements that are only needed for each other.
fn leave_out_pairs<T: Clone>(
    list: &mut Vec<T>,
    shows: &mut impl FnMut(&[T]) -> Result<bool, Enough>,
) -> Result<(), Enough> {
    let mut first = 0;
    while first < list.len() && list.len() <= PAIRED {
        let mut rest = None;
        for second in first + 1..list.len() {
            let mut without = list.clone();
            without.remove(second);
            without.remove(first);
            if !without.is_empty() && shows(&without)? {
                rest = Some(without);
                break;
            }
        }
        first = if rest.is_some() { 0 } else { first + 1 };
        *list = rest.unwrap_or_else(|| std::mem::take(list));
    }
    Ok(())
}
