//! The parties of a staged race without a scheduler: they store, and each process sees its own data. On x86-64, as the code
//! through which they store.

#![cfg(target_arch = "x86_64")]

mod common;

use std::time::Duration;

use common::skip::{Need, skip};
use cowpath::memory::trampoline::Trampolines;
use cowpath::record::moves::Party;
use cowpath::record::staged::{Observation, Witness, WordContent};
use cowpath::scenario::staged::Action;
use cowpath::scenario::staged::catalogue::choose;
use cowpath::worker::actors::Actors;

fn until_done(actors: &Actors, party: Party) {
    while !actors.done(party).unwrap() {
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn seen(actors: &Actors, party: Party, through: Witness) -> Observation {
    actors.observe(party, through);
    until_done(actors, party);
    actors.seen(party, through)
}

#[test]
fn without_a_scheduler_the_parties_store_and_each_process_sees_its_own() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus < 3 {
        skip(Need::ThreeCpus, "each party has a CPU of its own");
        return;
    }
    let trampolines = Trampolines::put_up().unwrap();
    let staged = choose(&["window/sharer-stores".into()]).unwrap()[0];
    let actors = Actors::gather(trampolines, staged).unwrap();
    for party in Party::ALL {
        actors.order(party, Action::Store);
        until_done(&actors, party);
    }
    let mapping = seen(&actors, Party::One, Witness::Mapping);
    assert_eq!(
        (mapping.one, mapping.two),
        (WordContent::Stored, WordContent::Stored)
    );
    assert_eq!(
        (mapping.sharer, mapping.rest),
        (WordContent::Old, WordContent::Old)
    );
    let sharer = seen(&actors, Party::Sharer, Witness::Sharer);
    assert_eq!(
        (sharer.sharer, sharer.one),
        (WordContent::Stored, WordContent::Old)
    );
}
