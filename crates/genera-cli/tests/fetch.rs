//! `genera data fetch` against a server on this machine: what breaks off goes on, what is wrong never gets the name.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use common::{fail, genera, succeed, tempdir};

const BYTES: usize = 95_628_359;
const FILE: &str = "weights-inception-2015-12-05-6726825d.pth";

/// Serves zeros in the place of the weights: `sent[i]` of those that the `i`-th request asks for. Gives the address, and
/// the lines that were asked with.
fn serve(sent: &'static [usize]) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let mut asked = Vec::new();
        for most in sent {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let range = lines.iter().find_map(|line| {
                line.to_lowercase().strip_prefix("range: bytes=")?.trim_end_matches('-').parse::<usize>().ok()
            });
            let (start, status) = range.map_or((0, "200 OK"), |start| (start, "206 Partial Content"));
            let length = BYTES - start;
            let range = format!("Content-Range: bytes {start}-{}/{BYTES}\r\n", BYTES - 1);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let zeros = vec![0; 1 << 20];
            let mut left = length.min(*most);
            while left > 0 {
                let count = left.min(zeros.len());
                stream.write_all(&zeros[..count]).unwrap();
                left -= count;
            }
            asked.push(lines.join("; "));
        }
        asked
    });
    (address, served)
}

#[test]
fn weights_are_fetched_with_a_checksum() {
    let scratch = tempdir().unwrap();
    let here = scratch.path();
    let (address, served) = serve(&[1 << 20, usize::MAX]);
    let arguments = ["data", "fetch", "inception", "--data", "d", "--mirror", &address];
    fail(here, &arguments, 1, "it broke off at 1048576 of 95628359 bytes");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(here.join("d/inception")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(), [format!("{FILE}.part")]);
    // It goes on where it stopped, sees that these are not the weights, and keeps nothing.
    fail(here, &arguments, 1, "its checksum is wrong");
    assert!(names().is_empty(), "{:?}", names());
    let asked = served.join().unwrap();
    assert!(asked[0].contains(&format!("/{FILE}")) && !asked[0].to_lowercase().contains("range"), "{asked:?}");
    assert!(asked[1].to_lowercase().contains("range: bytes=1048576-"), "{asked:?}");
    fail(here, &arguments, 1, &address);
    fail(here, &["data", "fetch", "inceptoin"], 2, "did you mean `inception`?");
    let listed = genera(here).args(["data", "--data", "d"]).output().unwrap();
    assert!(common::text(&listed.stderr).contains("not here"));
    succeed(here, &["data"]);
}
