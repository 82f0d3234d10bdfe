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

    /// Counts the words that are not as they must be after a race of so many threads on pages that held `content`:
    /// `stored` tells of a page and a thread the tag with which it has stored there, if it did.
    pub fn line_violations(
        &self,
        content: Content,
        threads: usize,
        stored: impl Fn(usize, usize) -> Option<u64>,
    ) -> u64 {
        let mut wrong = self.violations(content, None);
        for page in 0..self.pages() {
            for thread in 0..threads {
                let due = stored(page, thread).map_or(0, |tag| stored_word(tag, page));
                wrong += u64::from(self.own(page, thread) != due);
            }
        }
        wrong
    }

    /// Counts the words that are not as they must be after every page was dropped once at least: the
    /// pattern must be gone, and a thread's word is there or gone with it.
    pub fn dropped_violations(
        &self,
        threads: usize,
        stored: impl Fn(usize, usize) -> Option<u64>,
    ) -> u64 {
        let mut wrong = 0;
        for page in 0..self.pages() {
            for line in 0..self.lines() {
                // SAFETY: the address lies inside page `page` of the mapping that self owns.
                wrong += u64::from(unsafe { self.line(page, line).read_volatile() } != 0);
            }
            for thread in 0..threads {
                let (found, tag) = (self.own(page, thread), stored(page, thread));
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
        let content = Content::Filled(9 << 34);
        let untouched = || area.line_violations(content, 2, |_, _| None);
        let all = |_, thread| Some(thread_tag(1 << 33, thread));
        let stored = || area.line_violations(content, 2, all);
        assert_eq!(untouched(), 0);
        assert_eq!(stored(), 6, "lost stores");
        for page in 0..3 {
            for thread in 0..2 {
                store(
                    &area,
                    page,
                    thread,
                    stored_word(thread_tag(1 << 33, thread), page),
                );
            }
        }
        assert_eq!(stored(), 0);
        assert_eq!(untouched(), 6, "a leak");
        // Page 2 is thread 0's alone: thread 1's word must not be there.
        let part = |page, thread| all(page, thread).filter(|_| page < 2 || thread == 0);
        assert_eq!(area.line_violations(content, 2, part), 1);
        // SAFETY: a word inside the area.
        unsafe { area.line(1, 40).write_volatile(0) };
        assert_eq!(stored(), 1, "a torn copy");
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
        assert_eq!(
            area.line_violations(Content::Filled(1 << 34), 0, |_, _| None),
            0
        );
    }

    #[test]
    fn a_page_that_came_back_is_noticed() {
        let area = Area::map(2).unwrap();
        let violations = || area.dropped_violations(1, |_, _| Some(1 << 33));
        assert_eq!(violations(), 0);
        store(&area, 1, 0, stored_word(1 << 33, 1));
        assert_eq!(violations(), 0);
        area.fill(1 << 34);
        assert!(violations() > 0);
    }
}
