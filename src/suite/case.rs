//! A case: a scenario with one set of parameters, which gives one result of the run file.

use super::sizes::{self, usual};
use crate::machine::allowance::{self, Left};
use crate::machine::folios::{mthp, pmd_kib};
use crate::machine::knob;
use crate::machine::tune::{Setting, Want};
use crate::memory::folio::Folio;
use crate::record::case::CaseId;
use crate::record::rule::Rule;
use crate::record::schema::{Config, Measured, Strategy};
use crate::scenario::expectation::{KernelTraits, Version};
use crate::scenario::workload::{Access, Race, Reach, Rendezvous, Workload};
use crate::scenario::{Scenario, Step, Timed};
use crate::worker::demand;

/// What makes ksmd merge at once, in this order: with an advisor `pages_to_scan` can not be set.
const KSM_SETTINGS: [(Setting, &str); 5] = [
    (Setting::KsmAdvisor, "none"),
    (Setting::KsmSmartScan, "0"),
    (Setting::KsmPagesToScan, "20000"),
    (Setting::KsmSleep, "1"),
    (Setting::KsmRun, "1"),
];

/// Pages on which a copier is held in one repetition: a third of a second each.
const HELD_PAGES: u32 = 8;

/// A scenario with one set of parameters.
#[derive(Clone, Debug)]
pub struct Case {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The reuse rule that the kernel is switched to.
    pub strategy: Option<Rule>,
    /// Whether the kernel is to look again before it installs a copy, where it can be told.
    pub recheck: Option<bool>,
    /// The CPU of each thread.
    pub cpus: Vec<u32>,
    /// The CPU of another process that acts in a race.
    pub other_process: u32,
    /// Clock ticks from the first thread's deadline to the rival's.
    pub skew: i64,
    /// Pages in the area.
    pub pages: u32,
    /// Trials in one repetition.
    pub trials: u32,
    /// Repetitions.
    pub reps: u32,
    /// The size of the folios under test.
    pub folio: Folio,
    /// Why it can not be measured here.
    pub impossible: Option<String>,
}

impl Case {
    /// Every case of `scenarios` that `config` asks for, in their order; for several strategies, all cases of one
    /// after all of another, in the same order each.
    pub fn all(scenarios: &[&'static Scenario], config: &Config) -> Vec<Case> {
        let cases = scenarios.iter().flat_map(|&scenario| match &scenario.play {
            Workload::Stores(_) => single_sizes(scenario, config),
            Workload::Race(race) => races(scenario, race, config),
            Workload::Held => held(scenario, config),
        });
        let left = allowance::left();
        let cases: Vec<Case> = cases
            .map(|mut case| {
                let impossible = case.impossible.take();
                case.impossible = impossible.or_else(|| case.too_large(left.as_ref()?, config));
                case
            })
            .collect();
        if config.strategies.is_empty() {
            return cases;
        }
        let switched = |&rule| {
            cases.iter().cloned().map(move |case| Case {
                strategy: Some(rule),
                ..case
            })
        };
        config.strategies.iter().flat_map(switched).collect()
    }

    /// One thread's stores.
    pub fn single(scenario: &'static Scenario, config: &Config) -> Case {
        Case {
            scenario,
            strategy: None,
            recheck: None,
            cpus: config.cpus[..1].to_vec(),
            other_process: config.cpus[0],
            skew: 0,
            pages: config.pages,
            trials: config.trials,
            reps: repetitions(scenario, usual(scenario.memory), config),
            folio: usual(scenario.memory),
            impossible: None,
        }
    }

    /// The kernel that it is measured on, given its own rules and version.
    pub fn kernel(&self, rules: &Strategy, version: Option<Version>) -> KernelTraits {
        KernelTraits {
            pin: rules.pin,
            switched: self.strategy,
            recheck: self.recheck == Some(true),
            ..KernelTraits::own(rules.small, version)
        }
    }

    /// Why it takes more memory than is `left`.
    fn too_large(&self, left: &Left, config: &Config) -> Option<String> {
        let needed = demand::memory(self.scenario, self.folio, self.pages);
        if needed <= left.bytes {
            return None;
        }
        let fit = demand::pages_that_fit(self.scenario, self.folio, self.pages, left.bytes);
        let asked_for_one = config.pages / self.pages.max(1);
        let mend = fit.map_or(String::new(), |fit| {
            format!("; mend with: --pages {}", fit * asked_for_one.max(1))
        });
        Some(format!(
            "needs {} MiB of memory for --pages {}; found: {} MiB left ({}){mend}",
            needed >> 20,
            config.pages,
            left.bytes >> 20,
            left.by()
        ))
    }

    /// Whether the events of its stores are counted in trials of their own: those of races are counted by
    /// the racing threads, and what is timed as a whole has no stores.
    pub fn is_counted(&self) -> bool {
        matches!(self.scenario.play, Workload::Stores(_)) && !self.scenario.timed.is_whole()
    }

    /// Whether threads share CPUs.
    pub fn oversubscribed(&self) -> bool {
        let mut cpus = self.cpus.clone();
        cpus.sort_unstable();
        cpus.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Threads that store to every page; at least 1, and 1 where each page is stored to by one of them.
    pub fn storing_threads(&self) -> u64 {
        let race = self.scenario.race();
        race.filter(|race| race.reach == Reach::Every)
            .map_or(1, |race| {
                let accesses = (0..self.cpus.len()).map(|thread| race.access(thread));
                accesses
                    .filter(|&access| access == Access::Store)
                    .count()
                    .max(1) as u64
            })
    }

    /// Settings that it needs: the strategy's, and with `tune` those of its page state.
    pub fn wants(&self, tune: bool) -> Vec<Want> {
        let mut wants = Vec::new();
        if let Some(rule) = self.strategy {
            wants.push(Want::Value(Setting::Reuse, rule.label().into()));
        }
        if let Some(recheck) = self.recheck {
            let mut parameter = |setting, value: &str| {
                wants.push(Want::Value(setting, value.into()));
            };
            parameter(Setting::Recheck, if recheck { "1" } else { "0" });
            // The worker holds copiers for longer; this is what has it put back, whatever happens to the worker.
            parameter(Setting::CopyDelay, "1");
        }
        if tune {
            wants.extend(self.page_wants());
        }
        wants
    }

    fn page_wants(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        let mut want = |setting, value: &str| wants.push(Want::Value(setting, value.into()));
        match self.folio {
            Folio::Large(kib) if Some(kib) != pmd_kib() => {
                // The kernel takes the largest size that is allowed: others must not be.
                for other in mthp().into_iter().map(|(kib, _)| kib).chain(pmd_kib()) {
                    let choice = if other == kib { "madvise" } else { "never" };
                    want(Setting::ThpSize(other), choice);
                }
            }
            Folio::Large(kib) => match Setting::ThpSize(kib).read() {
                Some(_) => want(Setting::ThpSize(kib), "madvise"),
                None => want(Setting::Thp, "madvise"),
            },
            Folio::Hugetlb(kib) if Some(kib) == pmd_kib() => {
                want(Setting::HugetlbPool(kib), "32");
            }
            _ => {}
        }
        if self.scenario.has(Step::Merge) {
            for (setting, value) in KSM_SETTINGS {
                want(setting, value);
            }
        }
        if self.scenario.swaps() {
            wants.push(Want::Swap);
        }
        wants
    }

    /// What tells its result from others.
    pub fn id(&self) -> CaseId {
        CaseId {
            scenario: self.scenario.id.into(),
            strategy: self.strategy,
            recheck: self.recheck,
            folio: self.folio.size(),
            threads: self.cpus.len() as u32,
            skew: self.skew,
            oversubscribed: self.oversubscribed(),
            pages: self.pages,
        }
    }

    /// Whether `measured` is a result of this case, in as many pages as it could have.
    pub fn gave(&self, measured: &Measured) -> bool {
        self.id().is_but_for_pages(&CaseId::of(measured))
    }
}

fn races(scenario: &'static Scenario, race: &Race, config: &Config) -> Vec<Case> {
    let available = config.cpus.len() as u32;
    let threads = match (&config.threads[..], race.rendezvous) {
        ([], Rendezvous::Free) => doubling(available),
        ([], _) => vec![race.threads_needed()],
        (asked, _) => asked.to_vec(),
    };
    // Without a deadline there is nothing to skew.
    let skews = match race.rendezvous {
        Rendezvous::Free => &[0][..],
        _ => &config.skew,
    };
    let mut cases = Vec::new();
    for &threads in &threads {
        for &skew in skews {
            cases.push(Case {
                scenario,
                strategy: None,
                recheck: None,
                cpus: (0..threads)
                    .map(|thread| config.cpus[(thread % available) as usize])
                    .collect(),
                // A CPU that no thread uses, else the rival's.
                other_process: *config
                    .cpus
                    .get(threads as usize)
                    .unwrap_or(&config.cpus[(1 % available) as usize]),
                skew,
                pages: raced_pages(race, threads, config),
                trials: config.race_trials,
                reps: config.race_reps,
                folio: Folio::Page,
                impossible: sizes::not_a_page(config).or_else(|| impossible(race, threads, config)),
            });
        }
    }
    cases
}

/// Pages that are raced for: of parts, as many for each thread.
fn raced_pages(race: &Race, threads: u32, config: &Config) -> u32 {
    let pages = (config.pages / race.page_divisor()).max(1);
    match race.reach {
        Reach::Every => pages,
        Reach::Part => pages.max(threads) / threads * threads,
    }
}

fn impossible(race: &Race, threads: u32, config: &Config) -> Option<String> {
    let available = config.cpus.len() as u32;
    if threads < race.threads_needed() {
        return Some(format!(
            "needs {} threads, asked for {threads}",
            race.threads_needed()
        ));
    }
    (threads > available && !config.oversubscribe).then(|| {
        format!(
            "needs {threads} CPUs, found {available}; --oversubscribe lets threads share CPUs, which hardly ever race then"
        )
    })
}

/// A copier held in its window, with the recheck off and on.
fn held(scenario: &'static Scenario, config: &Config) -> Vec<Case> {
    let impossible = match config.strategies[..] {
        [] => Some(
            "needs --strategy, on a kernel of scripts/strategy-kernel: its parameters are changed for the time of the run; found: no --strategy".into(),
        ),
        _ if !std::path::Path::new(knob::RECHECK).exists() => Some(format!(
            "needs {}; found: this kernel has none, as pages cannot become exclusive on it",
            knob::RECHECK
        )),
        _ => None,
    };
    let each = [false, true].into_iter().map(|recheck| Case {
        recheck: Some(recheck),
        pages: config.pages.min(HELD_PAGES),
        trials: 1,
        reps: config.race_reps,
        impossible: sizes::not_a_page(config).or_else(|| impossible.clone()),
        ..Case::single(scenario, config)
    });
    each.collect()
}

/// 1, 2, 4 and so on up to `most`, and `most` itself.
fn doubling(most: u32) -> Vec<u32> {
    let powers = std::iter::successors(Some(1), |n| Some(n * 2));
    let mut counts: Vec<u32> = powers.take_while(|&n| n < most).collect();
    counts.push(most);
    counts
}

/// One thread's stores, in every folio size that is asked for and may be had.
fn single_sizes(scenario: &'static Scenario, config: &Config) -> Vec<Case> {
    let sizes = sizes::chosen(scenario, config).into_iter();
    let cases = sizes.map(|(folio, impossible)| Case {
        folio,
        reps: repetitions(scenario, folio, config),
        impossible,
        ..Case::single(scenario, config)
    });
    cases.collect()
}

/// Repetitions: what is dear to set up gets a number of its own.
fn repetitions(scenario: &Scenario, folio: Folio, config: &Config) -> u32 {
    let dear = folio != Folio::Page
        || scenario.has(Step::Merge)
        || scenario.swaps()
        || scenario.timed != Timed::Store;
    if dear { config.slow_reps } else { config.reps }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::scenario::catalogue::find;

    /// What a run without options of its own asks for.
    pub(in crate::suite) fn config(cpus: &[u32], threads: &[u32], skew: &[i64]) -> Config {
        Config {
            scenarios: Vec::new(),
            pages: 4096,
            trials: 8,
            reps: 1,
            race_trials: 2,
            race_reps: 1,
            slow_reps: 1,
            threads: threads.to_vec(),
            skew: skew.to_vec(),
            oversubscribe: false,
            tune: false,
            folios: Vec::new(),
            cpus: cpus.to_vec(),
            seed: 0,
            quick: false,
            strategies: Vec::new(),
            aa: false,
            until_mde: None,
            budget_s: None,
        }
    }

    fn cases(id: &str, config: &Config) -> Vec<Case> {
        Case::all(&[find(id).unwrap()], config)
    }

    #[test]
    fn a_race_has_a_case_for_each_number_of_threads_and_each_skew() {
        let cases = cases("race/store-store", &config(&[4, 5, 6], &[2, 3], &[0, 500]));
        let parameters: Vec<_> = cases.iter().map(|c| (c.cpus.len(), c.skew)).collect();
        assert_eq!(parameters, [(2, 0), (2, 500), (3, 0), (3, 500)]);
        assert_eq!(
            (&cases[0].cpus[..], cases[0].other_process),
            (&[4, 5][..], 6)
        );
        assert_eq!(cases[2].other_process, 5, "the rival's CPU is shared");
    }

    #[test]
    fn a_sweep_scales_and_stores_of_one_thread_do_not() {
        let sweep = cases("contention/sweep", &config(&[0, 1, 2], &[], &[0, 500]));
        let threads: Vec<_> = sweep.iter().map(|c| c.cpus.len()).collect();
        assert_eq!(threads, [1, 2, 3]);
        assert_eq!(
            cases("copy/child-alive", &config(&[0, 1], &[2], &[7])).len(),
            1
        );
    }

    #[test]
    fn no_two_cases_have_the_same_label() {
        let config = Config {
            tune: true,
            ..config(&[0, 1, 2], &[], &[0, 500])
        };
        let all: Vec<_> = crate::scenario::catalogue::all().collect();
        let mut labels: Vec<_> = Case::all(&all, &config)
            .iter()
            .map(|case| case.id().label())
            .collect();
        let cases = labels.len();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), cases);
    }

    #[test]
    fn a_strategy_has_every_case_of_another_in_the_same_order() {
        let config = Config {
            strategies: vec![Rule::Exclusive, Rule::Mapcount],
            ..config(&[0, 1], &[], &[0])
        };
        let scenarios = ["reuse/child-exited", "race/exit"].map(|id| find(id).unwrap());
        let cases = Case::all(&scenarios, &config);
        let labels: Vec<_> = cases.iter().map(|case| case.id().label()).collect();
        assert_eq!(
            labels,
            [
                "reuse/child-exited under exclusive",
                "race/exit ×2 under exclusive",
                "reuse/child-exited under mapcount",
                "race/exit ×2 under mapcount",
            ]
        );
        assert_eq!(cases[3].wants(false).len(), 1, "the rule");
    }

    #[test]
    fn more_pages_than_there_is_memory_for_are_refused_with_the_number_that_fits() {
        let config = config(&[0], &[], &[0]);
        let case = &cases("copy/child-alive", &config)[0];
        let left = |mib: u64| Left {
            bytes: mib << 20,
            limit: Some(("/sys/fs/cgroup/a/memory.max".into(), 64 << 20)),
        };
        assert_eq!(case.too_large(&left(64), &config), None);
        let why = case.too_large(&left(40), &config).unwrap();
        assert_eq!(
            why,
            "needs 64 MiB of memory for --pages 4096; found: 40 MiB left (/sys/fs/cgroup/a/memory.max is 64 MiB); mend with: --pages 2048"
        );
        assert_eq!(
            case.too_large(&left(0), &config).unwrap().find("mend"),
            None
        );
    }

    #[test]
    fn more_threads_than_cpus_are_refused_unless_asked_for() {
        let one = config(&[0], &[], &[0]);
        let why = cases("race/exit", &one)[0].impossible.clone().unwrap();
        assert!(why.contains("2 CPUs, found 1"), "{why}");
        let case = &cases(
            "race/exit",
            &Config {
                oversubscribe: true,
                ..one
            },
        )[0];
        assert!(case.impossible.is_none() && case.oversubscribed());
    }
}
