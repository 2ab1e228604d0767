//! RESP2, the protocol of Redis: commands go out as arrays of bulk strings, and replies come in five types.
//!
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>. Nothing here recurses, and everything that a
//! server sends has a bound.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::kind::no_answer::NoAnswer;

/// The longest line, without its end: a simple string, an error or a length.
const LINE_MAX: usize = 4096;

/// The longest bulk string. A section of INFO has one to two KiB.
const BULK_MAX: usize = 32 * 1024;

/// The most elements of an array, the nested ones included. ROLE has three for each replica, and two more.
pub(super) const ELEMENTS_MAX: usize = 2048;

/// A command as Redis wants it.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// One reply. Text that is not UTF-8 has replacement characters in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A simple string, such as `OK`.
    Simple(String),
    /// An error: the first word says what happened, mostly.
    Error(String),
    /// A number.
    Number(i64),
    /// A bulk string. A null one is empty.
    Bulk(String),
    /// An array of texts. A number in it is a text, and an array in it is an empty text.
    Array(Vec<String>),
}

/// What begins with a line. Only a bulk string and an array have more after it.
enum Head {
    Simple(String),
    Error(String),
    Number(i64),
    Bulk(Option<usize>),
    Array(usize),
}

/// Reads replies. It may read more bytes than one reply has, and keeps them for the next one.
#[derive(Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// The next reply.
    pub(super) async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Reply, NoAnswer> {
        Ok(match self.head(stream).await? {
            Head::Simple(text) => Reply::Simple(text),
            Head::Error(text) => Reply::Error(text),
            Head::Number(number) => Reply::Number(number),
            Head::Bulk(length) => Reply::Bulk(self.bulk(length, stream).await?),
            Head::Array(length) => Reply::Array(self.array(length, stream).await?),
        })
    }

    /// The texts of an array. Nested arrays are read and dropped: a counter of what is left replaces recursion.
    async fn array(&mut self, length: usize, stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<String>, NoAnswer> {
        let mut budget = ELEMENTS_MAX;
        let mut items = Vec::new();
        for _ in 0..length {
            let mut left = 1_usize;
            let mut item = None;
            while left > 0 {
                budget = budget.checked_sub(1).ok_or(NoAnswer::TooLarge)?;
                left -= 1;
                let text = match self.head(stream).await? {
                    Head::Simple(text) | Head::Error(text) => text,
                    Head::Number(number) => number.to_string(),
                    Head::Bulk(length) => self.bulk(length, stream).await?,
                    Head::Array(length) => {
                        left += length;
                        String::new()
                    }
                };
                item.get_or_insert(text);
            }
            items.extend(item);
        }
        Ok(items)
    }

    async fn head(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Head, NoAnswer> {
        if self.buffer.is_empty() {
            self.fill(stream).await?;
        }
        let kind = self.buffer.first().copied().ok_or(NoAnswer::Closed)?;
        // Another protocol is known by its first byte: its line may never end.
        if !matches!(kind, b'+' | b'-' | b':' | b'$' | b'*') {
            return Err(NoAnswer::Malformed);
        }
        let line = self.line(stream).await?;
        let text = || String::from_utf8_lossy(&line).into_owned();
        let number = || text().parse::<i64>().map_err(|_| NoAnswer::Malformed);
        // The length -1 is a null.
        let length = |max: usize| match number()? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) if length <= max => Ok(Some(length)),
                Ok(_) => Err(NoAnswer::TooLarge),
                Err(_) => Err(NoAnswer::Malformed),
            },
        };
        Ok(match kind {
            b'+' => Head::Simple(text()),
            b'-' => Head::Error(text()),
            b':' => Head::Number(number()?),
            b'$' => Head::Bulk(length(BULK_MAX)?),
            _ => Head::Array(length(ELEMENTS_MAX)?.unwrap_or_default()),
        })
    }

    /// The rest of a line, without its type and its end.
    async fn line(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, NoAnswer> {
        let mut searched = 0;
        let end = loop {
            let newline = self.buffer[searched..].iter().position(|byte| *byte == b'\n');
            if let Some(at) = newline {
                break searched + at;
            }
            searched = self.buffer.len();
            if searched > LINE_MAX {
                return Err(NoAnswer::TooLarge);
            }
            self.fill(stream).await?;
        };
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        if line.len() > LINE_MAX {
            return Err(NoAnswer::TooLarge);
        }
        match line.get(1..).and_then(|line| line.strip_suffix(b"\r\n")) {
            Some(line) => Ok(line.to_vec()),
            None => Err(NoAnswer::Malformed),
        }
    }

    async fn bulk(&mut self, length: Option<usize>, stream: &mut (impl AsyncRead + Unpin)) -> Result<String, NoAnswer> {
        let Some(length) = length else { return Ok(String::new()) };
        while self.buffer.len() < length + 2 {
            self.fill(stream).await?;
        }
        let bulk: Vec<u8> = self.buffer.drain(..length + 2).collect();
        match bulk.strip_suffix(b"\r\n") {
            Some(bulk) => Ok(String::from_utf8_lossy(bulk).into_owned()),
            None => Err(NoAnswer::Malformed),
        }
    }

    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<(), NoAnswer> {
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk).await? {
            0 => Err(NoAnswer::Closed),
            length => {
                self.buffer.extend_from_slice(&chunk[..length]);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> Result<Reply, NoAnswer> {
        Reader::default().next(&mut bytes).await
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        assert_eq!(command(&["AUTH", "é\r\n"]), "*2\r\n$4\r\nAUTH\r\n$4\r\né\r\n\r\n".as_bytes());
    }

    #[tokio::test]
    async fn each_type_is_read_and_the_next_reply_is_kept() {
        let mut stream: &[u8] =
            b"+PONG\r\n-ERR no\r\n:-7\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$-1\r\n*-1\r\n*4\r\n$6\r\nmaster\r\n:0\r\n*1\r\n*2\r\n:1\r\n*0\r\n$1\r\nx\r\n+OK\r\n";
        let mut reader = Reader::default();
        let texts = ["master", "0", "", "x"].map(str::to_owned).to_vec();
        for expected in [
            Reply::Simple("PONG".into()),
            Reply::Error("ERR no".into()),
            Reply::Number(-7),
            Reply::Bulk("a\r\nb".into()),
            Reply::Bulk(String::new()),
            Reply::Bulk(String::new()),
            Reply::Array(vec![]),
            Reply::Array(texts),
            Reply::Simple("OK".into()),
        ] {
            assert_eq!(reader.next(&mut stream).await.unwrap(), expected);
        }
        assert!(matches!(reader.next(&mut stream).await, Err(NoAnswer::Closed)));
    }

    #[tokio::test]
    async fn every_truncated_reply_is_closed() {
        for whole in [&b"+PONG\r\n"[..], b"-ERR x\r\n", b":12\r\n", b"$3\r\nabc\r\n", b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n"]
        {
            for end in 0..whole.len() {
                assert!(matches!(read(&whole[..end]).await, Err(NoAnswer::Closed)), "{end} of {whole:?}");
            }
            assert!(read(whole).await.is_ok());
        }
    }

    #[tokio::test]
    async fn what_is_too_large_or_not_resp_is_told_apart() {
        let long_line = [b"+".as_slice(), &[b'a'; 5000], b"\r\n"].concat();
        let endless_line = b"+".repeat(100_000);
        let nested = b"*1\r\n".repeat(5000);
        let wide = b"*2048\r\n".repeat(5000);
        for large in [
            &long_line[..],
            &endless_line,
            &nested,
            &wide,
            b"$16777216\r\n",
            b"$9223372036854775807\r\n",
            b"$32769\r\n",
            b"*16777216\r\n",
            b"*2049\r\n",
        ] {
            assert!(matches!(read(large).await, Err(NoAnswer::TooLarge)), "{:?}", &large[..9]);
        }
        for other in [
            &b"HTTP/1.1 400"[..],
            b"\0",
            b"+PONG\n",
            b":x\r\n",
            b"$-2\r\n",
            b"$x\r\n",
            b"$\r\n",
            b"*-2\r\n",
            b"$99999999999999999999\r\n",
            b"$1\r\nabc",
            b"%1\r\n",
            b"\x15\x03\x03",
        ] {
            assert!(matches!(read(other).await, Err(NoAnswer::Malformed)), "{other:?}");
        }
    }
}
