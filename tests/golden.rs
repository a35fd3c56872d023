//! Golden scripts: for each topic a zone, queries and the replies they must get, which are read by another DNS library.
//!
//! Every script runs in process, through the loader and the one pure function; those that need no clock of their own run
//! over UDP and TCP against the program too; and those that say `also rbldnsd` run against rbldnsd,
//! since there both must say the same. `GOLDEN=name cargo test --test golden` runs the scripts whose names contain `name`.
//! The format is described in `golden/README.md`.

mod support;

use std::net::Ipv4Addr;

use dnsbld::answer::Transport;
use support::{
    question::{Question, cookie_of},
    script::{Deed, Script, Step},
    server::Server,
    world::World,
};

/// What went wrong, each with script and line.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn add(&mut self, script: &Script, step: &Step, way: &str, what: &str) {
        self.0.push(format!("{}:{} {way}: {}\n{what}", script.name, step.line, step.text));
    }

    fn settle(self) {
        assert!(self.0.is_empty(), "{} failed\n\n{}\n", self.0.len(), self.0.join("\n\n"));
    }
}

#[test]
fn in_process() {
    let mut failures = Failures::default();
    for script in Script::all() {
        let mut world = World::new(&script);
        let mut cookie = None;
        for step in &script.steps {
            world.pass_time(step.at);
            match &step.deed {
                Deed::Ask(asked) => ask_in_process(&world, (&script, step, asked), &mut cookie, &mut failures),
                Deed::Drop(file) => world.drop_file(file),
                Deed::Remove(name) => world.remove_file(name),
                Deed::Act(action, aftermath) => {
                    if let Err(what) = aftermath.check(&world.act(action, step.at)) {
                        failures.add(&script, step, "in process", &what);
                    }
                }
            }
        }
    }
    failures.settle();
}

/// Asks over both transports, unless the query is for one.
fn ask_in_process(
    world: &World,
    (script, step, asked): (&Script, &Step, &Question),
    cookie: &mut Option<Vec<u8>>,
    failures: &mut Failures,
) {
    let client = asked.from.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let request = asked.request(cookie.as_ref());
    for transport in [Transport::Udp, Transport::Tcp] {
        if asked.transport.is_some_and(|wanted| wanted != transport) {
            continue;
        }
        let (outcome, reply) = world.ask(client, transport, step.at.now_s(), &request);
        let reply = (outcome.reply_len > 0).then_some(&reply[..]);
        let way = format!("{transport:?} in process");
        if let Err(what) = asked.expected.check(&request, reply, false) {
            failures.add(script, step, &way, &what);
        }
        if outcome.hold_s != asked.expected.held_s {
            let what = format!("held for {} s, not for {} s", outcome.hold_s, asked.expected.held_s);
            failures.add(script, step, &way, &what);
        }
        *cookie = reply.and_then(cookie_of).or(cookie.take());
    }
}

#[test]
fn over_the_network() {
    let mut failures = Failures::default();
    for script in Script::all() {
        if let Some(reason) = script.in_process_only() {
            println!("{}: in process only, {reason}", script.name);
            continue;
        }
        let server = Server::dnsbld(&script.files, &script.specs, &script.options);
        run(&server, &script, &[Transport::Udp, Transport::Tcp], false, &mut failures);
    }
    failures.settle();
}

#[test]
fn against_rbldnsd() {
    let mut failures = Failures::default();
    for script in Script::all().iter().filter(|script| script.is_rbldnsds) {
        assert_eq!(script.in_process_only(), None, "{}: cannot be asked of rbldnsd", script.name);
        let server = Server::rbldnsd(&script.files, &script.specs, &script.options);
        run(&server, script, &[Transport::Udp], true, &mut failures);
    }
    failures.settle();
}

/// Runs a script against a process.
fn run(server: &Server, script: &Script, transports: &[Transport], is_rbldnsd: bool, failures: &mut Failures) {
    let mut cookie = None;
    for (step, asked) in script.questions() {
        if is_rbldnsd && asked.not_rbldnsd || !asked.from.is_none_or(|client| server.reaches(client)) {
            continue;
        }
        let request = asked.request(cookie.as_ref());
        for &transport in transports {
            if asked.transport.is_some_and(|wanted| wanted != transport) {
                continue;
            }
            let silence = asked.expected.silence;
            let started = std::time::Instant::now();
            let reply = match transport {
                Transport::Udp => server.ask_udp(asked.from, &request, silence),
                Transport::Tcp => server.ask_tcp(asked.from, &request, silence),
            };
            let way = format!("{transport:?} {}", if is_rbldnsd { "rbldnsd" } else { "over the network" });
            if let Err(what) = asked.expected.check(&request, reply.as_deref(), is_rbldnsd) {
                failures.add(script, step, &way, &what);
            }
            // A timer may fire a little early by another clock.
            if started.elapsed().as_secs_f32() + 0.05 < f32::from(asked.expected.held_s) {
                failures.add(script, step, &way, &format!("came back after {:?} already", started.elapsed()));
            }
            cookie = reply.as_deref().and_then(cookie_of).or(cookie);
        }
    }
}
