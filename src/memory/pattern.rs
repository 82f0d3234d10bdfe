//! The data of raced pages: a pattern in every cache line, and one word of each thread's own, so that
//! a lost store, a torn copy and a leak between processes are noticed.

use super::area::{Area, Content, LINE, page_size, stored_word};

/// Threads that a page has room for.
pub const THREADS_MAX: usize = 256;

/// Added to a trial's tag, gives the tag of a thread's stores. Tags are multiples of 2^32, and the
/// page's number is added below.
pub fn thread_tag(tag: u64, thread: usize) -> u64 {
    tag + ((thread as u64) << 24)
}

impl Area {
    /// Where thread `thread` stores in page `page`: beside a word of the pattern, in a line that the
    /// thread has to itself as long as there are fewer threads than lines.
    pub fn slot(&self, page: usize, thread: usize) -> *mut u64 {
        debug_assert!(thread < THREADS_MAX);
        let lines = page_size() / LINE - 1;
        self.line(page, thread * 5 % lines)
            .wrapping_add(1 + thread / lines)
    }

    /// Counts the words that are not as they must be after a race on pages filled with `fill`:
    /// `stored[n]` is the tag with which thread n has stored, if it did.
    pub fn line_violations(&self, fill: u64, stored: &[Option<u64>]) -> u64 {
        let mut wrong = self.violations(Content::Filled(fill), None);
        for page in 0..self.pages() {
            for (thread, &tag) in stored.iter().enumerate() {
                wrong +=
                    u64::from(self.own(page, thread) != tag.map_or(0, |t| stored_word(t, page)));
            }
        }
        wrong
    }

    /// Counts the words that are not as they must be after every page was dropped once at least: the
    /// pattern must be gone, and a thread's word is there or gone with it.
    pub fn dropped_violations(&self, stored: &[Option<u64>]) -> u64 {
        let mut wrong = 0;
        for page in 0..self.pages() {
            for line in 0..self.lines() {
                // SAFETY: the address lies inside page `page` of the mapping that self owns.
                wrong += u64::from(unsafe { self.line(page, line).read_volatile() } != 0);
            }
            for (thread, &tag) in stored.iter().enumerate() {
                let found = self.own(page, thread);
                wrong += u64::from(found != 0 && tag.is_none_or(|t| found != stored_word(t, page)));
            }
        }
        wrong
    }

    fn own(&self, page: usize, thread: usize) -> u64 {
        // SAFETY: the address lies inside page `page` of the mapping that self owns.
        unsafe { self.slot(page, thread).read_volatile() }
    }

    /// How many words the two checks compare, with so many threads.
    pub fn line_words_checked(&self, threads: usize) -> u64 {
        self.words_checked() + (self.pages() * threads) as u64
    }
}

/// Whether what a reader saw of page `page` beside thread 0's word is possible: the pattern with
/// `fill` and either nothing or the word stored with `tag`; where pages are `dropped` meanwhile, also
/// nothing at all.
pub fn plausible(fill: u64, tag: u64, page: usize, saw: [u64; 2]) -> bool {
    saw[0] == Content::Filled(fill).word(page) && (saw[1] == 0 || saw[1] == stored_word(tag, page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(area: &Area, page: usize, thread: usize, word: u64) {
        // SAFETY: the slot lies inside the area.
        unsafe { area.slot(page, thread).write_volatile(word) };
    }

    #[test]
    fn lost_torn_and_foreign_words_are_noticed() {
        let area = Area::map(3).unwrap();
        area.fill(9 << 34);
        assert_eq!(area.line_violations(9 << 34, &[None, None]), 0);
        let stored = [Some(thread_tag(1 << 33, 0)), Some(thread_tag(1 << 33, 1))];
        assert_eq!(area.line_violations(9 << 34, &stored), 6, "lost stores");
        for page in 0..3 {
            for (thread, tag) in stored.iter().enumerate() {
                store(&area, page, thread, stored_word(tag.unwrap(), page));
            }
        }
        assert_eq!(area.line_violations(9 << 34, &stored), 0);
        assert_eq!(area.line_violations(9 << 34, &[None, None]), 6, "a leak");
        // SAFETY: a word inside the area.
        unsafe { area.line(1, 40).write_volatile(0) };
        assert_eq!(area.line_violations(9 << 34, &stored), 1, "a torn copy");
    }

    #[test]
    fn slots_do_not_meet_each_other_or_the_pattern() {
        let area = Area::map(1).unwrap();
        area.fill(1 << 34);
        for thread in 0..THREADS_MAX {
            assert_eq!(area.own(0, thread), 0, "{thread}");
            store(&area, 0, thread, 1 + thread as u64);
        }
        for thread in 0..THREADS_MAX {
            assert_eq!(area.own(0, thread), 1 + thread as u64);
        }
        assert_eq!(area.line_violations(1 << 34, &[]), 0);
    }

    #[test]
    fn a_page_that_came_back_is_noticed() {
        let area = Area::map(2).unwrap();
        assert_eq!(area.dropped_violations(&[Some(1 << 33)]), 0);
        store(&area, 1, 0, stored_word(1 << 33, 1));
        assert_eq!(area.dropped_violations(&[Some(1 << 33)]), 0);
        area.fill(1 << 34);
        assert!(area.dropped_violations(&[Some(1 << 33)]) > 0);
    }
}
