//! A server that is measured: a process of its own, pinned, asked until it answers, and ended with the benchmark.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Ten million prefixes take rbldnsd ten seconds here.
const PATIENCE: Duration = Duration::from_secs(180);
const END_PATIENCE: Duration = Duration::from_secs(5);
const TICKS_PER_S: f64 = 100.0;

/// A server that answers.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// From its start to its first answer.
    pub(crate) start_s: f64,
    child: Child,
    /// Its standard error.
    said: fs::File,
}

/// Processor time in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) user_s: f64,
    pub(crate) system_s: f64,
}

impl Cpu {
    /// What was taken since `before`, in microseconds for each of so many.
    pub(crate) fn each_us(self, before: Self, count: u64) -> [f64; 2] {
        [self.user_s - before.user_s, self.system_s - before.system_s]
            .map(|seconds| seconds * 1e6 / count.max(1) as f64)
    }
}

/// A program that may run on these cores only.
pub(crate) fn pinned(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}

impl Server {
    /// Starts a server that will listen on that address, and waits until it answers `probe`.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        address: SocketAddr,
        probe: &[u8],
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let started = Instant::now();
        let said = tempfile::tempfile()?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?).spawn()?;
        let mut server = Self { name, address, start_s: 0.0, child, said };
        // A port that is not open yet refuses at once.
        while socket.send(probe).and_then(|_| socket.recv(&mut [0; 512])).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("{name} ended: {status}: {}", server.said()?.trim_end())));
            }
            if started.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{name} does not answer")));
            }
            thread::sleep(LOOK_EVERY);
        }
        server.start_s = started.elapsed().as_secs_f64();
        Ok(server)
    }

    /// What it has said so far on its standard error.
    pub(crate) fn said(&self) -> io::Result<String> {
        let mut octets = vec![0; self.said.metadata()?.len() as usize];
        // It goes on writing where its own file ends, which is ours: nothing may move that.
        self.said.read_exact_at(&mut octets, 0)?;
        Ok(String::from_utf8_lossy(&octets).into_owned())
    }

    /// The id of the process that was started.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        kill(self.child.id(), signal)
    }

    /// The ids of its processes: some servers are several.
    fn processes(&self) -> io::Result<Vec<u32>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(id) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
            // A process may end meanwhile, and then its files are gone.
            let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
            parents.push((id, field(&stat, 1)));
        }
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while let Some(&parent) = found.get(next) {
            found.extend(parents.iter().filter(|(_, of)| *of == Some(f64::from(parent))).map(|(id, _)| id));
            next += 1;
        }
        Ok(found)
    }

    /// That file of `/proc` for each of its processes.
    fn read(&self, file: &str) -> io::Result<Vec<String>> {
        let texts =
            self.processes()?.into_iter().filter_map(|id| fs::read_to_string(format!("/proc/{id}/{file}")).ok());
        let texts: Vec<String> = texts.collect();
        if texts.is_empty() { Err(io::Error::other(format!("{} has ended", self.name))) } else { Ok(texts) }
    }

    /// Processor time so far, of all its threads and processes.
    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        let mut cpu = Cpu::default();
        for stat in self.read("stat")? {
            let seconds = |own: usize, of_ended: usize| {
                let ticks = field(&stat, own).zip(field(&stat, of_ended)).map(|(own, ended)| own + ended);
                ticks.map(|ticks| ticks / TICKS_PER_S).ok_or_else(|| io::Error::other(format!("unexpected: {stat}")))
            };
            cpu.user_s += seconds(11, 13)?;
            cpu.system_s += seconds(12, 14)?;
        }
        Ok(cpu)
    }

    /// A line of `/proc/PID/status` that counts memory, such as `VmRSS`, in MiB, of all its processes.
    pub(crate) fn memory_mib(&self, field: &str) -> io::Result<f64> {
        let mut kib = 0.0;
        for status in self.read("status")? {
            let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            // One that has ended and was not waited for has no memory.
            kib += number.unwrap_or(0.0);
        }
        if kib > 0.0 { Ok(kib / 1024.0) } else { Err(io::Error::other(format!("no {field} in its status"))) }
    }
}

/// A number of `/proc/PID/stat`, counted from behind the name, in which there may be spaces.
fn field(stat: &str, index: usize) -> Option<f64> {
    stat.rsplit(')').next()?.split_whitespace().nth(index)?.parse().ok()
}

#[allow(unsafe_code, reason = "kill")]
pub(crate) fn kill(id: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: the call takes numbers. A child that was not waited for, and what descends from it, keeps its id.
    match unsafe { libc::kill(id.cast_signed(), signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Drop for Server {
    /// Ends it as an operator would, for then it ends its other processes; what does not listen is killed.
    fn drop(&mut self) {
        // What has ended by itself already, whoever measured it has noticed.
        let processes = self.processes().unwrap_or_default();
        let _ = self.signal(libc::SIGTERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < END_PATIENCE {
            thread::sleep(LOOK_EVERY);
        }
        if let Ok(None) = self.child.try_wait() {
            for process in processes {
                let _ = kill(process, libc::SIGKILL);
            }
            let _ = self.child.wait();
        }
    }
}
