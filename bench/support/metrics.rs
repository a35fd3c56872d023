//! What a server tells Prometheus.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

/// All metrics, as text.
pub(crate) fn scrape(http: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(http)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    if text.contains("dnsbld_dns_requests_total") { Ok(text) } else { Err(io::Error::other(text)) }
}
