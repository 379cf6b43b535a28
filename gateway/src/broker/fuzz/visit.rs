//! One client's visit: it connects, sends what it likes in pieces of any size, reads what comes, and goes as it likes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::{self, JoinSet};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::forge::{self, Frame, Sense};
use super::mutation::Corpus;
use super::watcher::Watcher;
use crate::broker::Shared;
use crate::broker::connection::{self, Caller};

/// Not how fast it has to be: whoever is not gone by then never goes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How a client behaves.
#[derive(Clone, Copy)]
struct Temper {
    /// One frame out of so many is damaged.
    damaged: usize,
    /// It answers so many of a hundred publishes.
    answers: u8,
    frames: usize,
    /// It reads to the end, or drops the connection.
    stays: bool,
    says_goodbye: bool,
}

impl Temper {
    fn draw(rng: &mut Rng) -> Self {
        let (damaged, frames) = match rng.u8(..8) {
            0..4 => (usize::MAX, 300),
            4 | 5 => (100, 300),
            6 => (10, 40),
            _ => (2, 10),
        };
        Self {
            damaged,
            answers: [100, 100, 90, 50, 0][rng.usize(..5)],
            frames: rng.usize(1..=frames),
            stays: rng.u8(..4) != 0,
            says_goodbye: rng.bool(),
        }
    }
}

/// Serves one connection in a task of its own, so that its panic is seen.
pub(super) fn serve(
    shared: &Arc<Shared>,
    stop: &CancellationToken,
    stream: DuplexStream,
) -> JoinSet<()> {
    let (reader, writer) = tokio::io::split(stream);
    let caller = Caller {
        address: [127, 0, 0, 1].into(),
        certified: None,
        guest: None,
        is_one_too_many: false,
    };
    let served = connection::serve(reader, writer, caller, Arc::clone(shared), stop.clone());
    JoinSet::from_iter([served])
}

/// Makes one visit; gives how many frames were sent.
pub(super) async fn visit(
    seed: u64,
    shared: &Arc<Shared>,
    stop: &CancellationToken,
    corpus: &Corpus,
) -> u64 {
    let mut rng = Rng::with_seed(seed);
    let temper = Temper::draw(&mut rng);
    let capacity = [64, 1024, 16 << 10][rng.usize(..3)];
    let (ours, theirs) = tokio::io::duplex(capacity);
    let mut served = serve(shared, stop, theirs);
    let (reader, writer) = tokio::io::split(ours);
    let watcher = Arc::new(Mutex::new(Watcher::default()));
    let mut talk = Talk {
        rng,
        temper,
        writer,
        watcher: Arc::clone(&watcher),
        corpus,
        frames: 0,
    };
    let listening = listen(reader, Arc::clone(&watcher));
    let ended = {
        let talking = async {
            talk.talk().await;
            if temper.stays {
                // Whether it is gone already is no matter.
                talk.writer.shutdown().await.ok();
                std::future::pending::<()>().await;
            }
        };
        let both = async {
            tokio::select! {
                heard = listening => heard,
                () = talking => Ok(()),
            }
        };
        time::timeout(PATIENCE, both).await
    };
    let frames = talk.frames;
    drop(talk);
    match ended {
        Err(_) => panic!("visit {seed}: the connection does not end"),
        Ok(Err(fault)) => panic!("visit {seed}: {fault}"),
        Ok(Ok(())) => {}
    }
    let gone = time::timeout(PATIENCE, served.join_next()).await;
    let joined = gone.unwrap_or_else(|_| panic!("visit {seed}: its task does not end"));
    if let Some(Err(error)) = joined {
        panic!("visit {seed}: {error}");
    }
    frames
}

/// Reads to the end.
async fn listen(
    mut reader: ReadHalf<DuplexStream>,
    watcher: Arc<Mutex<Watcher>>,
) -> Result<(), String> {
    let mut buffer = vec![0; 4096];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => watcher.lock().unwrap().reads(&buffer[..count])?,
        }
    }
}

struct Talk<'c> {
    rng: Rng,
    temper: Temper,
    writer: WriteHalf<DuplexStream>,
    watcher: Arc<Mutex<Watcher>>,
    corpus: &'c Corpus,
    frames: u64,
}

impl Talk<'_> {
    async fn talk(&mut self) {
        let connect = forge::connect(&mut self.rng);
        let Sense::Connect(wishes) = connect.sense else {
            return;
        };
        let mut batch = vec![self.perhaps_damaged(connect)];
        // It may go on before CONNACK comes.
        if self.rng.bool() {
            if self.send(&mut batch).await.is_err() {
                return;
            }
            self.wait_for_connack().await;
        }
        let mut left = self.temper.frames;
        while 0 < left {
            let count = self.rng.usize(1..=20).min(left);
            left -= count;
            self.answer(&mut batch);
            for _ in 0..count {
                let frame = forge::any(&mut self.rng, wishes.is_v5);
                batch.push(self.perhaps_damaged(frame));
            }
            if self.send(&mut batch).await.is_err() {
                return;
            }
        }
        self.answer(&mut batch);
        if self.temper.says_goodbye {
            batch.push(forge::disconnect(&mut self.rng, wishes.is_v5));
        }
        // The gateway may be gone already.
        self.send(&mut batch).await.ok();
    }

    /// Gives it a chance to come; it need not.
    async fn wait_for_connack(&mut self) {
        for _ in 0..200 {
            if self.watcher.lock().unwrap().is_connected() {
                return;
            }
            task::yield_now().await;
        }
    }

    fn perhaps_damaged(&mut self, frame: Frame) -> Frame {
        if self.temper.damaged == usize::MAX || self.rng.usize(..self.temper.damaged) != 0 {
            return frame;
        }
        match self.rng.u8(..5) {
            0 => self.corpus.pick(&mut self.rng),
            _ => self.corpus.damage(frame, &mut self.rng),
        }
    }

    /// Acknowledges what came, as far as this client does that.
    fn answer(&mut self, batch: &mut Vec<Frame>) {
        let owed = std::mem::take(&mut self.watcher.lock().unwrap().owed);
        for (kind, packet_id) in owed {
            if self.rng.u8(..100) < self.temper.answers {
                batch.push(forge::acknowledgement(kind, packet_id, false));
            }
        }
    }

    /// Writes all of it, cut anywhere.
    async fn send(&mut self, batch: &mut Vec<Frame>) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        {
            let mut watcher = self.watcher.lock().unwrap();
            for frame in batch.iter() {
                watcher.sends(&frame.sense);
                bytes.extend_from_slice(&frame.bytes);
            }
        }
        let largest = [3, 50, 5000][self.rng.usize(..3)];
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(self.rng.usize(1..=largest).min(rest.len()));
            self.writer.write_all(piece).await?;
            rest = later;
            if self.rng.u8(..4) == 0 {
                task::yield_now().await;
            }
        }
        self.frames += batch.len() as u64;
        batch.clear();
        task::yield_now().await;
        Ok(())
    }
}
