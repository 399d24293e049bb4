//! What the operating system is asked for. Where it cannot answer, rows do without.

/// Context switches so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switches {
    /// A thread waited for something.
    pub(crate) voluntary: f64,
    /// A thread had to make room for another.
    pub(crate) involuntary: f64,
}

pub(crate) use imp::{bind_to_one_cpu, cpu_model, kernel, switches, switches_by_thread};

#[cfg(target_os = "linux")]
mod imp {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io;
    use std::mem;

    use super::Switches;

    /// Context switches of this process, all its threads together, also those that have ended.
    pub(crate) fn switches() -> Option<Switches> {
        // SAFETY: a `rusage` is made of integers, which may all be 0.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        // SAFETY: `usage` is a `rusage` that may be written to.
        let code = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        (code == 0).then_some(Switches { voluntary: usage.ru_nvcsw as f64, involuntary: usage.ru_nivcsw as f64 })
    }

    /// Context switches of each thread of this process but the main one, by its number.
    pub(crate) fn switches_by_thread() -> Option<BTreeMap<u32, Switches>> {
        let main = std::process::id();
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir("/proc/self/task").ok()? {
            let entry = entry.ok()?;
            let number: u32 = entry.file_name().to_str()?.parse().ok()?;
            if number == main {
                continue;
            }
            // A thread may end between the two; then it is none of ours to count.
            if let Ok(status) = fs::read_to_string(entry.path().join("status")) {
                let voluntary = field(&status, "voluntary_ctxt_switches:")?;
                let involuntary = field(&status, "nonvoluntary_ctxt_switches:")?;
                threads.insert(number, Switches { voluntary, involuntary });
            }
        }
        Some(threads)
    }

    fn field(status: &str, name: &str) -> Option<f64> {
        status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    }

    /// Binds this thread, and those that it starts from now on, to the first processor that it may
    /// use. The error is what this machine lacks.
    pub(crate) fn bind_to_one_cpu() -> Result<(), String> {
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: a `cpu_set_t` is made of integers, which may all be 0.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: `set` is a `cpu_set_t` of this size that may be written to.
        if unsafe { libc::sched_getaffinity(0, size, &raw mut set) } != 0 {
            return Err(format!("the processors are not known: {}", io::Error::last_os_error()));
        }
        // SAFETY: the number is less than the bits of the set: 8 a byte.
        let first = (0..size * 8).find(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) });
        let Some(first) = first else {
            return Err("the processors are not known".to_owned());
        };
        // SAFETY: as above, for the number; the set is ours.
        unsafe {
            libc::CPU_ZERO(&mut set);
            libc::CPU_SET(first, &mut set);
        }
        // SAFETY: `set` is a `cpu_set_t` of this size.
        if unsafe { libc::sched_setaffinity(0, size, &raw const set) } != 0 {
            return Err(format!("a process cannot be bound to one processor: {}", io::Error::last_os_error()));
        }
        Ok(())
    }

    /// What the processor calls itself.
    pub(crate) fn cpu_model() -> Option<String> {
        let text = fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        let (_, model) = line.split_once(':')?;
        Some(model.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The kernel and its version, without what its builder has added.
    pub(crate) fn kernel() -> Option<String> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        let version: String = release.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        Some(format!("Linux {}", version.trim_end_matches('.')))
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::collections::BTreeMap;

    use super::Switches;

    pub(crate) fn switches() -> Option<Switches> {
        None
    }

    pub(crate) fn switches_by_thread() -> Option<BTreeMap<u32, Switches>> {
        None
    }

    pub(crate) fn bind_to_one_cpu() -> Result<(), String> {
        Err("binding a process to one processor is known here for Linux only".to_owned())
    }

    pub(crate) fn cpu_model() -> Option<String> {
        None
    }

    pub(crate) fn kernel() -> Option<String> {
        None
    }
}
