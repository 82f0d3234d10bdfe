//! A case: a scenario with one set of parameters, which gives one result of the run file.

use super::schema::{Config, Measured};
use crate::scenario::Scenario;
use crate::scenario::play::{Deed, Meeting, Race};

/// A scenario with one set of parameters.
#[derive(Clone, Debug)]
pub struct Case {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The CPU of each thread.
    pub cpus: Vec<u32>,
    /// The CPU of another process that acts in a race.
    pub bystander: u32,
    /// Clock ticks from the first thread's deadline to the rival's.
    pub skew: i64,
    /// Pages in the area.
    pub pages: u32,
    /// Trials in one repetition.
    pub trials: u32,
    /// Repetitions.
    pub reps: u32,
    /// Why it can not be measured here.
    pub impossible: Option<String>,
}

impl Case {
    /// Every case of `scenarios` that `config` asks for, in their order.
    pub fn all(scenarios: &[&'static Scenario], config: &Config) -> Vec<Case> {
        let cases = scenarios
            .iter()
            .flat_map(|&scenario| match scenario.race() {
                None => vec![Case::single(scenario, config)],
                Some(race) => races(scenario, race, config),
            });
        cases.collect()
    }

    /// One thread's stores.
    pub fn single(scenario: &'static Scenario, config: &Config) -> Case {
        Case {
            scenario,
            cpus: config.cpus[..1].to_vec(),
            bystander: config.cpus[0],
            skew: 0,
            pages: config.pages,
            trials: config.trials,
            reps: config.reps,
            impossible: None,
        }
    }

    /// Whether threads share CPUs.
    pub fn oversubscribed(&self) -> bool {
        let mut cpus = self.cpus.clone();
        cpus.sort_unstable();
        cpus.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Threads that store to every page; at least 1.
    pub fn storing_threads(&self) -> u64 {
        self.scenario.race().map_or(1, |race| {
            let deeds = (0..self.cpus.len()).map(|thread| race.deed(thread));
            deeds.filter(|&deed| deed == Deed::Store).count().max(1) as u64
        })
    }

    /// Whether `measured` is a result of this case.
    pub fn gave(&self, measured: &Measured) -> bool {
        measured.scenario == self.scenario.id
            && measured.threads as usize == self.cpus.len()
            && measured.skew == self.skew
    }

    /// The case in words: the scenario's id, and what its results differ in.
    pub fn label(&self, config: &Config) -> String {
        let mut label = self.scenario.id.to_string();
        if config.threads.len() > 1 {
            label += &format!(", {} threads", self.cpus.len());
        }
        if config.skew.len() > 1 {
            label += &format!(", skew {}", self.skew);
        }
        label
    }
}

fn races(scenario: &'static Scenario, race: &Race, config: &Config) -> Vec<Case> {
    let available = config.cpus.len() as u32;
    let threads = match (&config.threads[..], race.meeting) {
        ([], Meeting::Free) => doubling(available),
        ([], _) => vec![race.threads_needed()],
        (asked, _) => asked.to_vec(),
    };
    // Without a deadline there is nothing to skew.
    let skews = match race.meeting {
        Meeting::Free => &[0][..],
        _ => &config.skew,
    };
    let mut cases = Vec::new();
    for &threads in &threads {
        for &skew in skews {
            cases.push(Case {
                scenario,
                cpus: (0..threads)
                    .map(|thread| config.cpus[(thread % available) as usize])
                    .collect(),
                // A CPU that no thread uses, else the rival's.
                bystander: *config
                    .cpus
                    .get(threads as usize)
                    .unwrap_or(&config.cpus[(1 % available) as usize]),
                skew,
                pages: (config.pages / race.page_divisor()).max(1),
                trials: config.race_trials,
                reps: config.race_reps,
                impossible: impossible(race, threads, config),
            });
        }
    }
    cases
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

/// 1, 2, 4 and so on up to `most`, and `most` itself.
fn doubling(most: u32) -> Vec<u32> {
    let powers = std::iter::successors(Some(1), |n| Some(n * 2));
    let mut counts: Vec<u32> = powers.take_while(|&n| n < most).collect();
    counts.push(most);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::catalogue::find;

    fn config(cpus: &[u32], threads: &[u32], skew: &[i64]) -> Config {
        Config {
            scenarios: Vec::new(),
            pages: 4096,
            trials: 8,
            reps: 1,
            race_trials: 2,
            race_reps: 1,
            threads: threads.to_vec(),
            skew: skew.to_vec(),
            oversubscribe: false,
            tune: false,
            cpus: cpus.to_vec(),
            seed: 0,
            quick: false,
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
        assert_eq!((&cases[0].cpus[..], cases[0].bystander), (&[4, 5][..], 6));
        assert_eq!(cases[2].bystander, 5, "the rival's CPU is shared");
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
