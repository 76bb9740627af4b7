//! Against a real HTTP server on this machine, whose faults are chosen.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use super::*;

const BODY: &[u8] = b"All models are wrong, but some generate.";
const SHA256: &str = "5627190563f8f1fd6dedeffe0ea02658e46900be31936ade31a51aff4eea7dd4";
const MD5: &str = "4447ea67aa0bba2f471af5095a9ed1a2";

/// What the server does with one request.
#[derive(Clone, Copy)]
enum Answer {
    /// What was asked for, range or not.
    Honest,
    /// The whole, though a range was asked for.
    IgnoreRange,
    /// A range that starts elsewhere.
    WrongRange,
    /// The right headers, then only so many bytes.
    BreakAfter(usize),
    /// Another body of the same length.
    Corrupt,
    /// A longer body.
    Longer,
    /// 404.
    Missing,
}

/// Serves one request for each answer; gives the address and the ranges that were asked for.
fn serve(answers: &[Answer]) -> (String, mpsc::Receiver<Option<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    let answers = answers.to_vec();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(std::result::Result::ok);
            let range = lines
                .take_while(|line| !line.is_empty())
                .filter_map(|line| {
                    line.to_lowercase().strip_prefix("range: bytes=")?.trim_end_matches('-').parse().ok()
                })
                .last();
            sender.send(range).unwrap();
            let longer = [BODY, BODY].concat();
            let start = range.unwrap_or(0);
            let (status, start, body) = match (answer, range) {
                (Answer::Missing, _) => ("404 Not Found", 0, &b"no"[..]),
                (Answer::Longer, _) => ("200 OK", 0, &longer[..]),
                (Answer::Corrupt, _) => ("200 OK", 0, &longer[1..=BODY.len()]),
                (Answer::WrongRange, _) => ("206 Partial Content", start + 1, &BODY[start + 1..]),
                (Answer::IgnoreRange, _) | (_, None) => ("200 OK", 0, BODY),
                (Answer::Honest | Answer::BreakAfter(_), Some(_)) => ("206 Partial Content", start, &BODY[start..]),
            };
            let (length, end, total) = (body.len(), BODY.len() - 1, BODY.len());
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Range: bytes {start}-{end}/{total}\r\n\
                 Connection: close\r\n\r\n"
            );
            let sent = if let Answer::BreakAfter(count) = answer { &body[..count] } else { body };
            stream.write_all(&[head.as_bytes(), sent].concat()).unwrap();
        }
    });
    (url, receiver)
}

fn remote(url: &str) -> Remote<'_> {
    Remote { file: "file.bin", url, bytes: BODY.len() as u64, checksum: Checksum::Sha256(SHA256) }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_whole_file_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("new");
    let (url, ranges) = serve(&[Answer::Honest]);
    let mut seen = Vec::new();
    let path = fetch(&remote(&url), &nested, |progress| seen.push((progress.received, progress.total))).unwrap();
    assert_eq!(fs::read(&path).unwrap(), BODY);
    assert_eq!((seen.first(), seen.last()), (Some(&(0, 40)), Some(&(40, 40))));
    // The server is gone: the second call must not ask it.
    assert_eq!(fetch(&remote(&url), &nested, |_| {}).unwrap(), path);
    assert_eq!((ranges.iter().collect::<Vec<_>>(), names(&nested)), (vec![None], vec!["file.bin".to_owned()]));
    // MD5 as well, and a file that is there but wrong is replaced.
    let (url, _ranges) = serve(&[Answer::Honest]);
    let by_md5 = Remote { checksum: Checksum::Md5(MD5), ..remote(&url) };
    fs::write(&path, "something else").unwrap();
    assert_eq!(fs::read(fetch(&by_md5, &nested, |_| {}).unwrap()).unwrap(), BODY);
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    for (second, restart) in [(Answer::Honest, 11), (Answer::IgnoreRange, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let (url, ranges) = serve(&[Answer::BreakAfter(11), second]);
        let error = fetch(&remote(&url), folder.path(), |_| {}).unwrap_err().to_string();
        assert!(error.contains("11 of 40 bytes"), "{error}");
        assert_eq!(names(folder.path()), ["file.bin.part"]);
        let mut first = None;
        let path = fetch(&remote(&url), folder.path(), |progress| {
            first.get_or_insert(progress.received);
        });
        assert_eq!(fs::read(path.unwrap()).unwrap(), BODY);
        assert_eq!((first, names(folder.path())), (Some(restart), vec!["file.bin".to_owned()]));
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [None, Some(11)]);
    }
}

#[test]
fn a_whole_part_needs_no_server_and_a_long_one_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("file.bin.part");
    fs::write(&part, BODY).unwrap();
    assert!(fetch(&remote("http://127.0.0.1:9/"), folder.path(), |_| {}).is_ok());
    fs::remove_file(folder.path().join("file.bin")).unwrap();
    fs::write(&part, [BODY, BODY].concat()).unwrap();
    let (url, ranges) = serve(&[Answer::Honest]);
    assert_eq!(fs::read(fetch(&remote(&url), folder.path(), |_| {}).unwrap()).unwrap(), BODY);
    assert_eq!(ranges.recv().unwrap(), None);
}

#[test]
fn what_is_wrong_never_gets_the_name() {
    for (answer, says) in
        [(Answer::Corrupt, "checksum"), (Answer::Missing, "404"), (Answer::Longer, "longer than 40 bytes")]
    {
        let folder = tempfile::tempdir().unwrap();
        let (url, _ranges) = serve(&[answer]);
        let error = fetch(&remote(&url), folder.path(), |_| {}).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(&url), "{error}");
        assert!(!folder.path().join("file.bin").exists());
        assert!(names(folder.path()).is_empty() || says == "404");
    }
    // A range that starts elsewhere is refused, and what was there stays.
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("file.bin.part");
    fs::write(&part, &BODY[..11]).unwrap();
    let (url, _ranges) = serve(&[Answer::WrongRange]);
    assert!(fetch(&remote(&url), folder.path(), |_| {}).is_err());
    assert_eq!(fs::read(&part).unwrap(), &BODY[..11]);
    assert!(fetch(&remote("http://127.0.0.1:9/"), folder.path(), |_| {}).is_err());
}
