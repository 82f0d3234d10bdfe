//! The virtual CPUs of a guest, and how they lie in sockets and cores.

use std::str::FromStr;

/// Virtual CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processors {
    /// So many, as QEMU lays them out.
    Plain(u32),
    /// Sockets, cores of each, threads of each core. Each socket is a NUMA node with its share of the memory.
    Laid {
        /// Sockets.
        sockets: u32,
        /// Cores of each.
        cores: u32,
        /// Threads of each core.
        threads: u32,
    },
}

impl Processors {
    /// How many there are.
    pub fn count(self) -> u32 {
        match self {
            Processors::Plain(count) => count,
            Processors::Laid {
                sockets,
                cores,
                threads,
            } => sockets * cores * threads,
        }
    }

    /// What has QEMU make them, with `memory_mib` of memory.
    pub fn arguments(self, memory_mib: u32) -> Vec<String> {
        let mut words = vec!["-smp".into()];
        let Processors::Laid {
            sockets,
            cores,
            threads,
        } = self
        else {
            words.push(self.count().to_string());
            return words;
        };
        let count = self.count();
        words.push(format!(
            "{count},sockets={sockets},cores={cores},threads={threads}"
        ));
        if sockets > 1 {
            let (each, share) = (cores * threads, memory_mib / sockets);
            for node in 0..sockets {
                // What does not divide is the last one's.
                let rest = if node + 1 == sockets {
                    memory_mib % sockets
                } else {
                    0
                };
                let (first, last) = (node * each, (node + 1) * each - 1);
                words.extend([
                    "-object".into(),
                    format!("memory-backend-ram,id=node{node},size={}M", share + rest),
                    "-numa".into(),
                    format!("node,nodeid={node},cpus={first}-{last},memdev=node{node}"),
                ]);
            }
        }
        words
    }
}

impl FromStr for Processors {
    type Err = String;

    /// `4`, or sockets, cores and threads as `2x2x2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u32>> = text
            .split('x')
            .map(|number| {
                number
                    .parse()
                    .ok()
                    .filter(|number| (1..=256).contains(number))
            })
            .collect();
        let made = match numbers.as_deref() {
            Some(&[count]) => Some(Processors::Plain(count)),
            Some(&[sockets, cores, threads]) => Some(Processors::Laid {
                sockets,
                cores,
                threads,
            }),
            _ => None,
        };
        made.filter(|made| made.count() <= 256).ok_or_else(|| {
            "is neither a number from 1 to 256 nor sockets, cores of each and threads of each core, such as 2x2x2".into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_read_and_told_to_qemu() {
        let of = |text: &str| text.parse::<Processors>();
        assert_eq!(of("3").unwrap().arguments(512), ["-smp", "3"]);
        let laid = of("2x2x2").unwrap();
        assert_eq!(laid.count(), 8);
        assert_eq!(
            laid.arguments(1025),
            [
                "-smp",
                "8,sockets=2,cores=2,threads=2",
                "-object",
                "memory-backend-ram,id=node0,size=512M",
                "-numa",
                "node,nodeid=0,cpus=0-3,memdev=node0",
                "-object",
                "memory-backend-ram,id=node1,size=513M",
                "-numa",
                "node,nodeid=1,cpus=4-7,memdev=node1",
            ]
        );
        assert_eq!(
            of("1x2x2").unwrap().arguments(512),
            ["-smp", "4,sockets=1,cores=2,threads=2"]
        );
        for wrong in ["", "0", "2x2", "2x0x1", "x", "257", "16x16x2", "two"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
