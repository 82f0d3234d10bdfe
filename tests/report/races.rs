//! Races in the report, as they fell out by themselves and as they were staged.

use std::collections::BTreeMap;

use cowpath::record::basis::{BasisKind, ExpectedBasis};
use cowpath::record::known::Known;
use cowpath::record::method::{LateCount, Method};
use cowpath::record::moves::{FaultOutcome, HoldPoint, Party, RaceVerdict};
use cowpath::record::outcome::Outcome;
use cowpath::record::predicted::Predicted;
use cowpath::record::progress::Progress;
use cowpath::record::race::FrameChange;
use cowpath::record::rule::SmallRule;
use cowpath::record::schema::*;
use cowpath::record::staged::{
    Acted, HeldAt, Observation, Pte, StagedResult, Station, Witness, WordContent,
};
use cowpath::record::sweep::{Interleaving, Pruned, Sweep, Why};
use cowpath::record::unit::Unit;
use cowpath::report::terminal;

use crate::fixture::Fixture;
use crate::{Report, cells};

/// A race of which so many pages in a hundred had a late discard.
fn raced(result: &mut Measured, skew: i64, late: u64) {
    let tally = |late, pages| PageTally {
        frame: FrameChange::Changed,
        late,
        none: 0,
        pages,
    };
    result.threads = 2;
    result.skew = skew;
    result.discards = Discards::Counted(DiscardCounts {
        late,
        none: 0,
        futile: 0,
        allocations: 100 + late,
        committed: 100,
        pages: 100,
        method: Method::Tracepoints,
        other_methods: BTreeMap::from([(
            Method::Taskstats,
            Known::Counted(LateCount {
                late: late as i64 + 2,
                difference: 2,
            }),
        )]),
    });
    result.race = Some(Raced {
        lock_wait: None,
        forks: None,
        results: vec![tally(0, 100 - late), tally(1, late)],
        not_allowed: 0,
        unexplained: 0,
        unrelated_allocations: 0,
        parts: BTreeMap::new(),
        events: 0,
        replaced: None,
        rehearsal_pages: 0,
        rehearsal_allocations: 0,
    });
}

#[test]
fn a_method_that_drops_out_of_one_race_says_so_and_one_that_counts_none_does_not() {
    let mut fixture = Fixture::new("6.18.0");
    for (scenario, drops_out) in [("race/store-store", false), ("race/unshare", true)] {
        let result = fixture.measure(scenario, Outcome::Copy, 9_000.0, Unit::Ns);
        raced(result, 0, 5);
        let Discards::Counted(counted) = &mut result.discards else {
            unreachable!()
        };
        let none = |why| Known::unavailable(why);
        counted
            .other_methods
            .insert(Method::Kprobes, none("there are no kprobes"));
        if drops_out {
            counted
                .other_methods
                .insert(Method::Taskstats, none("the clock stood still"));
        }
    }
    let text = terminal::run::text(&fixture.run);
    assert!(
        text.contains("race/unshare")
            && text.contains("says nothing of this race: the clock stood still"),
        "{text}"
    );
    assert!(!text.contains("there are no kprobes"), "{text}");
}

#[test]
fn a_sweep_over_skews_is_a_plot_and_one_row() {
    let mut fixture = Fixture::new("6.18.0");
    for (skew, late) in [(0, 99), (2_000, 90), (6_000, 5)] {
        let result = fixture.measure("race/store-store", Outcome::Copy, 9_000.0, Unit::Ns);
        raced(result, skew, late);
    }
    let report = Report::of(&[fixture.run]);
    let page = report.page();
    assert!(
        report
            .names()
            .contains("plots/race-sweep-race-store-store-2.svg")
    );
    assert!(page.contains("late (backoff): 99.0 at 0, 90.0 at 714, 5.00 at 2,143."));
    let latencies = page
        .split("<caption")
        .find(|t| t.contains("race: outcomes and latency"));
    let latencies = latencies.unwrap().split("</table>").next().unwrap();
    assert_eq!(latencies.matches("scope=\"row\"").count(), 1);
    assert!(page.contains("Of a sweep over skews the one nearest to 0 is shown"));
    let row = cells(
        &page,
        "Races: copies made and thrown away",
        "race/store-store skew 0",
    );
    assert_eq!(row, ["100", "99 (99.00 %)", "0", "0", "199", "100", "+2"]);
}

#[test]
fn the_founding_question_is_answered_in_plain_words() {
    let mut fixture = Fixture::new("6.18.0");
    raced(
        fixture.measure("race/exit", Outcome::Copy, 9_000.0, Unit::Ns),
        0,
        30,
    );
    let page = Report::of(&[fixture.run.clone()]).page();
    assert!(page.contains("30 (30.0 %) were copied twice"));
    assert!(page.contains("no page was reused under a copy."), "{page}");
    let race = fixture.run.results[0].race.as_mut().unwrap();
    race.results[1].frame = FrameChange::Same;
    race.not_allowed = 30;
    let page = Report::of(&[fixture.run]).page();
    assert!(page.contains("a page was reused under a thread that was copying it"));
    assert!(
        page.contains("30 of 100 pages came to something that the kernel’s strategy rules out")
    );
}

/// A staged race that came to `verdict`, with one step in thread 2's lane while thread 1 is held.
fn staged(scenario: &str, verdict: RaceVerdict) -> StagedResult {
    let station = |party, after: &str, came, held| Station {
        party,
        after: after.into(),
        came,
        held,
        pte: Some(Pte::of(0x1234_5025)),
        mapcount: Some(1),
    };
    let part = |party: Party, came| Acted {
        party,
        cpu: party.cpu(),
        did: vec!["stores".into()],
        came: Some(came),
        faults: 1,
        waited: None,
    };
    StagedResult {
        verdict,
        reason: "seen <so>".into(),
        predicted: Some(Predicted {
            verdict: RaceVerdict::Coherent,
            one: FaultOutcome::BackedOff,
            rival: Some(FaultOutcome::Copy),
            lock: None,
        }),
        held: Some(HeldAt {
            point: HoldPoint::Copied,
            function: "__pte_offset_map_lock".into(),
            caller: "do_wp_page+0x297".into(),
        }),
        parts: vec![
            part(Party::One, FaultOutcome::BackedOff),
            part(Party::Two, FaultOutcome::Copy),
        ],
        stations: vec![
            station(None, "the page is shared", None, false),
            station(
                Some(Party::Two),
                "thread 2 stores",
                Some(FaultOutcome::Copy),
                true,
            ),
        ],
        seen: vec![Observation {
            through: Witness::Mapping,
            one: WordContent::Stored,
            two: WordContent::Stored,
            sharer: WordContent::Old,
            rest: WordContent::Old,
        }],
        ..StagedResult::lost(scenario, String::new())
    }
}

#[test]
fn a_staged_race_says_what_its_expectation_rests_on() {
    let mut run = Fixture::new("6.12.118+deb13-cloud-amd64").run;
    let mut derived = staged("window/store", RaceVerdict::Coherent);
    derived.basis = Some(ExpectedBasis {
        kind: BasisKind::Source,
        what: "mm/memory.c: wp_page_copy() in 6.12.107".into(),
    });
    let mut seen = StagedResult {
        basis: Some(ExpectedBasis {
            kind: BasisKind::Observed,
            what: "6.1".into(),
        }),
        ..staged("window/fork", RaceVerdict::Coherent)
    };
    run.staged = vec![derived, seen.clone()];
    let page = Report::of(&[run.clone()]).page();
    assert!(page.contains("coherent (backoff, copy), as derived</a>"));
    assert!(page.contains("coherent (backoff, copy), as seen</a>"));
    assert!(page.contains("source: mm/memory.c: wp_page_copy() in 6.12.107"));
    seen.verdict = RaceVerdict::LostStore;
    run.staged = vec![seen];
    let page = Report::of(&[run]).page();
    assert!(page.contains("lost store (backoff, copy) ≠</a>") && !page.contains(", as seen</a>"));
}

#[test]
fn the_founding_question_has_a_verdict_for_each_kernel_that_leads_to_its_timeline() {
    let mut stock = Fixture::new("6.12.118+deb13-cloud-amd64").run;
    stock.staged = vec![staged("window/store", RaceVerdict::Coherent)];
    let mut patched = Fixture::new("6.12.118-strategy").run;
    patched.host.kernel.cmdline = "quiet cow_reuse=mapcount".into();
    patched.strategy.small = SmallRule::Mapcount;
    patched.staged = vec![
        staged("window/store", RaceVerdict::LostStore),
        staged("window/fork", RaceVerdict::Coherent),
    ];
    let report = Report::of(&[stock, patched]);
    let page = report.page();
    assert!(page.contains("<section id=\"founding-question\""));
    assert!(page.contains("<a href=\"#staged-1-1\">coherent (backoff, copy)</a>"));
    assert!(page.contains("<a href=\"#staged-2-1\">lost store (backoff, copy) ≠</a>"));
    for anchor in ["staged-1-1", "staged-2-1", "staged-2-2"] {
        assert_eq!(
            page.matches(&format!("id=\"{anchor}\"")).count(),
            1,
            "{anchor}"
        );
    }
    // Harm is shown without being asked for.
    assert_eq!(page.matches("<details class=\"timeline\" open>").count(), 1);
    assert!(page.contains("__pte_offset_map_lock of do_wp_page+0x297"));
    assert!(page.contains("seen &lt;so&gt;"));
    assert!(page.contains("verdict: coherent predicted, lost store seen"));
    let command = "cowpath stage window/store --kernel vmlinuz-6.12.118-strategy --append";
    assert!(page.contains(command));
    assert!(!page.contains("Nothing was measured"));
    let summary = report.text("summary.md");
    assert!(summary.contains("lost store (backoff, copy)"), "{summary}");
}

#[test]
fn a_race_played_several_times_says_how_often_it_came_to_the_same() {
    let mut run = Fixture::new("6.1.0-56-cloud-amd64").run;
    run.staged = vec![
        staged("window/store", RaceVerdict::Coherent),
        staged("window/store", RaceVerdict::Coherent),
        staged("window/store", RaceVerdict::LostStore),
    ];
    let page = Report::of(&[run]).page();
    assert!(
        page.contains("coherent (backoff, copy), 2 of 3 ≠"),
        "{page}"
    );
}

#[test]
fn a_run_without_staged_races_does_not_speak_of_them() {
    let page = Report::of(&[Fixture::basics("6.1.0-56-cloud-amd64").run]).page();
    assert!(!page.contains("The founding question") && !page.contains("Staged races"));
}

/// A sweep of two interleavings, whose worst came to `verdict`.
fn swept(verdict: RaceVerdict) -> StagedResult {
    let interleaving = |places: &[Progress], verdict| Interleaving {
        places: places.to_vec(),
        verdict,
        reason: "seen".into(),
        one: Some(FaultOutcome::Copy),
        rival: Some(FaultOutcome::Copy),
        waited: None,
    };
    StagedResult {
        sweep: Some(Sweep {
            moves: vec!["B exits".into(), "thread 2 stores".into()],
            interleavings: 28,
            played: vec![
                interleaving(
                    &[Progress::AfterStore, Progress::AfterStore],
                    RaceVerdict::Coherent,
                ),
                interleaving(&[Progress::Decided, Progress::Copied], verdict),
            ],
            pruned: vec![Pruned {
                places: vec![Progress::Undecided],
                why: Why::Blocked,
                count: 5,
            }],
            left_out: 21,
            why_left_out: Some("the time was up".into()),
            seconds: 3,
        }),
        ..staged("window/store", verdict)
    }
}

#[test]
fn a_sweep_lists_each_interleaving_and_one_that_is_wrong_is_said_to_be() {
    let mut good = Fixture::new("6.1.0-56-cloud-amd64").run;
    good.staged = vec![swept(RaceVerdict::Coherent)];
    let mut bad = Fixture::new("6.12.118-strategy").run;
    bad.staged = vec![swept(RaceVerdict::LostStore)];
    let page = Report::of(&[good, bad]).page();
    assert!(page.contains("window/store: every interleaving"));
    let told = "28 interleavings: 2 played in 3 s, 5 pruned (5: a move has to wait there, so that it comes later), 21 LEFT OUT (the time was up)";
    assert!(page.contains(told), "{page}");
    assert!(page.contains("coherent 2</a>"), "{page}");
    assert!(page.contains("coherent 1, lost store 1 ≠</a>"), "{page}");
    let wrong =
        "B exits (decided), thread 2 stores (after the copy): no harm predicted, lost store seen";
    assert!(page.contains(wrong), "{page}");
    assert!(page.contains("cowpath stage window/store --sweep --kernel"));
}
