//! Queries, and how they are put to a server: many at a time, from the loopback address that each is to come from.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use super::names::{Labels, show, wire};

pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const SOA: u16 = 6;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const ANY: u16 = 255;

pub(crate) const IN: u16 = 1;
pub(crate) const CH: u16 = 3;
pub(crate) const CLASS_ANY: u16 = 255;

/// An OPT record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Opt {
    pub(crate) payload_len: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) options: Vec<u8>,
}

/// What is wrong with a request's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Damage {
    /// Cut off in the middle of the question.
    Cut(usize),
    /// Two questions.
    TwoQuestions,
    /// None.
    NoQuestion,
    /// The question's name is a pointer to itself.
    Pointer,
    /// A label of 64 octets.
    LongLabel,
    /// A name of 256 octets.
    LongName,
    /// It is a response.
    Response,
}

/// A question and everything around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Query {
    pub(crate) client: Ipv4Addr,
    pub(crate) name: Labels,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    /// The flags as they stand in the header.
    pub(crate) flags: u16,
    pub(crate) opt: Option<Opt>,
    pub(crate) damage: Option<Damage>,
}

pub(crate) const FLAG_AA: u16 = 0x0400;
pub(crate) const FLAG_TC: u16 = 0x0200;
pub(crate) const FLAG_RD: u16 = 0x0100;
pub(crate) const FLAG_CD: u16 = 0x0010;

impl Query {
    /// A plain question.
    pub(crate) fn new(client: Ipv4Addr, name: Labels, kind: u16) -> Self {
        Self { client, name, kind, class: IN, flags: 0, opt: None, damage: None }
    }

    pub(crate) fn opcode(&self) -> u16 {
        self.flags >> 11 & 0xf
    }

    /// The question as it stands on the wire.
    pub(crate) fn question(&self) -> Vec<u8> {
        [wire(&self.name), self.kind.to_be_bytes().to_vec(), self.class.to_be_bytes().to_vec()].concat()
    }

    /// The whole request.
    pub(crate) fn octets(&self, id: u16) -> Vec<u8> {
        let mut flags = self.flags;
        let mut questions = 1u16;
        let mut question = self.question();
        match self.damage {
            Some(Damage::TwoQuestions) => {
                questions = 2;
                question.extend_from_within(..);
            }
            Some(Damage::NoQuestion) => {
                questions = 0;
                question.clear();
            }
            Some(Damage::Pointer) => question = vec![0xc0, 12, 0, 1, 0, 1],
            Some(Damage::LongLabel) => {
                question = [vec![64], vec![b'x'; 64], wire(&self.name), vec![0, 1, 0, 1]].concat();
            }
            Some(Damage::LongName) => {
                let name = vec![vec![b'x'; 63], vec![b'x'; 63], vec![b'x'; 63], vec![b'x'; 62]];
                question = [wire(&name), vec![0, 1, 0, 1]].concat();
            }
            Some(Damage::Response) => flags |= 0x8000,
            Some(Damage::Cut(_)) | None => {}
        }
        let mut octets = Vec::new();
        for field in [id, flags, questions, 0, 0, u16::from(self.opt.is_some())] {
            octets.extend_from_slice(&field.to_be_bytes());
        }
        octets.extend_from_slice(&question);
        if let Some(opt) = &self.opt {
            octets.extend_from_slice(&[0, 0, 41]);
            octets.extend_from_slice(&opt.payload_len.to_be_bytes());
            octets.extend_from_slice(&[0, opt.version, if opt.dnssec_ok { 0x80 } else { 0 }, 0]);
            octets.extend_from_slice(&(opt.options.len() as u16).to_be_bytes());
            octets.extend_from_slice(&opt.options);
        }
        if let Some(Damage::Cut(length)) = self.damage {
            octets.truncate(length);
        }
        octets
    }

    /// For messages: `dig` words as far as they go.
    pub(crate) fn shown(&self) -> String {
        let Self { client, kind, class, flags, .. } = self;
        let mut text = format!("dig -b {client} +norec -t TYPE{kind} -c CLASS{class} '{}'", show(&self.name));
        if *flags != 0 {
            text += &format!(" flags={flags:#06x}");
        }
        if let Some(opt) = &self.opt {
            text += &format!(" +bufsize={} +edns={} options={:02x?}", opt.payload_len, opt.version, opt.options);
        }
        if let Some(damage) = self.damage {
            text += &format!(" {damage:?}");
        }
        text
    }
}

/// Asks all, many at a time, and returns the replies in the order of the queries; none is silence.
pub(crate) fn ask_all<'q>(server: SocketAddr, queries: impl IntoIterator<Item = &'q Query>) -> Vec<Option<Vec<u8>>> {
    const PATIENCE: Duration = Duration::from_millis(200);
    let queries: Vec<&Query> = queries.into_iter().collect();
    let mut replies = vec![None; queries.len()];
    let mut by_client: BTreeMap<Ipv4Addr, Vec<usize>> = BTreeMap::new();
    for (index, query) in queries.iter().enumerate() {
        by_client.entry(query.client).or_default().push(index);
    }
    for (client, indices) in by_client {
        let mut patience = PATIENCE;
        // Few enough for the least receive buffer.
        for batch in indices.chunks(64) {
            let socket = socket(client, server, patience);
            for (id, &index) in batch.iter().enumerate() {
                socket.send(&queries[index].octets(id as u16)).expect("sends");
            }
            socket.send(SENTINEL).expect("sends");
            if receive(&socket, batch, &mut replies) == 0 {
                // This client is told nothing at all. Should it be otherwise, the other server shows it.
                patience = PATIENCE / 8;
            }
        }
    }
    replies
}

/// Asks one, patiently: for when one of two servers was silent.
pub(crate) fn ask_again(server: SocketAddr, query: &Query) -> Option<Vec<u8>> {
    let socket = socket(query.client, server, Duration::from_millis(700));
    let mut reply = [None];
    for _ in 0..3 {
        socket.send(&query.octets(0)).expect("sends");
        receive(&socket, &[0], &mut reply);
        if reply[0].is_some() {
            break;
        }
    }
    reply[0].take()
}

/// Asks on a stream.
pub(crate) fn ask_on_stream(server: SocketAddr, query: &Query) -> std::io::Result<Vec<u8>> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((query.client, 0)).into())?;
    socket.connect(&server.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = query.octets(7);
    stream.write_all(&[&(request.len() as u16).to_be_bytes(), &request[..]].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

fn socket(client: Ipv4Addr, server: SocketAddr, patience: Duration) -> UdpSocket {
    let socket = UdpSocket::bind((client, 0)).expect("a socket");
    socket.connect(server).expect("a socket");
    socket.set_read_timeout(Some(patience)).expect("a timeout");
    socket
}

/// A question that everybody refuses, asked last: what was not answered before it will not be answered.
const SENTINEL: &[u8] = b"\xff\xff\0\0\0\x01\0\0\0\0\0\0\x08sentinel\x07invalid\0\0\x01\0\x01";

/// Takes replies until there is one for each of the batch, or one for the sentinel, or none for a while; returns how many
/// datagrams came.
fn receive(socket: &UdpSocket, batch: &[usize], replies: &mut [Option<Vec<u8>>]) -> usize {
    let mut buffer = vec![0; 65_536];
    let (mut left_count, mut datagram_count) = (batch.len(), 0);
    while left_count > 0 {
        let Ok(length) = socket.recv(&mut buffer) else { break };
        datagram_count += 1;
        if buffer.starts_with(&SENTINEL[..2]) {
            // Several threads may have answered, and the last reply may still be on its way.
            socket.set_read_timeout(Some(Duration::from_millis(4))).expect("a timeout");
            continue;
        }
        let Some(id) = buffer[..length].first_chunk().map(|id| usize::from(u16::from_be_bytes(*id))) else { continue };
        if let Some(&index) = batch.get(id)
            && replies[index].replace(buffer[..length].to_vec()).is_none()
        {
            left_count -= 1;
        }
    }
    datagram_count
}
