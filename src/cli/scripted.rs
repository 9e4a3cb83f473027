//! For tests: a server that gives prepared answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread::{self, JoinHandle};

use reqwest::Url;

/// Answers one request per connection with the next text, then closes; an empty text just closes. The handle gives the
/// requests: lower-case heads, then bodies as they came.
pub(super) fn serve(answers: Vec<String>) -> (Url, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let answer = move |answer: String| {
        let (connection, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&connection);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        (&connection).write_all(answer.as_bytes()).unwrap();
        connection.shutdown(Shutdown::Both).unwrap();
        head + &String::from_utf8(body).unwrap()
    };
    (url, thread::spawn(|| answers.into_iter().map(answer).collect()))
}

/// A JSON answer.
pub(super) fn json(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
