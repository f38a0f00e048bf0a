//! What is in the file, to the sample, and what happens when the disk or the process fails.

use std::sync::Mutex;

use bytes::Bytes;
use caly_actors::domain::{
    Agent, AgentId, CallLimits, Carrier, CarrierCallId, ClientId, Direction, Language, Party, TurnDetection,
};

use super::*;

const RATE: u32 = 8_000;
const PATIENCE: Duration = Duration::from_secs(10);

fn facts() -> CallFacts {
    let agent = Agent {
        id: AgentId::new(),
        version: 1,
        name: "a".into(),
        instructions: "i".into(),
        greeting: None,
        notices: vec![],
        voice: "v".into(),
        language: Language::English,
        languages: vec![],
        intents: Default::default(),
        products: Default::default(),
        calendar: None,
        shop: None,
        remember_callers: None,
        utc_offset: 19_800,
        turn_detection: TurnDetection::default(),
        barge_in: caly_actors::domain::BargeIn::Eager,
        local_detection: false,
        menu: vec![],
        policies: Default::default(),
        handoff_numbers: Vec::new(),
        tools: Vec::new(),
        http_tools: Vec::new(),
        mcp_servers: Vec::new(),
        limits: CallLimits::default(),
    };
    CallFacts {
        call: CallId::new(),
        client: ClientId::new(),
        client_slug: "acme".into(),
        agent: Arc::new(agent),
        carrier: Carrier::Exotel,
        carrier_call_id: CarrierCallId::parse("c1").unwrap(),
        caller: Party::Withheld,
        called: Party::Withheld,
        direction: Direction::Inbound,
        admitted_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `millis` of one value.
fn tone(value: i16, millis: u64) -> Pcm {
    let samples = millis as usize * RATE as usize / 1_000;
    let bytes: Vec<u8> = std::iter::repeat_n(value.to_le_bytes(), samples).flatten().collect();
    Pcm { rate: RATE, bytes: Bytes::from(bytes) }
}

/// Frames of a recording as an ordinary reader sees it: (caller, agent).
fn read(path: &Path) -> Vec<(i16, i16)> {
    let mut reader = hound::WavReader::open(path).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, RATE));
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// First index and length of each stretch of one non-silent value.
fn stretches(samples: impl Iterator<Item = i16>) -> Vec<(i16, usize, usize)> {
    let mut found: Vec<(i16, usize, usize)> = Vec::new();
    for (at, value) in samples.enumerate().filter(|(_, value)| *value != 0) {
        match found.last_mut() {
            Some((of, start, length)) if *of == value && *start + *length == at => *length += 1,
            _ => found.push((value, at, 1)),
        }
    }
    found
}

struct Recorded {
    recordings: WavRecordings,
    facts: CallFacts,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

fn recorded() -> (Recorded, Box<dyn RecordingTap>) {
    let dir = tempfile::tempdir().unwrap();
    let recordings = WavRecordings::start(dir.path().to_path_buf(), Box::new(|_, _, _| {})).unwrap();
    let facts = facts();
    let tap = recordings.open(&facts, RATE).unwrap();
    let path = path_of(dir.path(), facts.admitted_at, facts.call);
    (Recorded { recordings, facts, path, _dir: dir }, tap)
}

impl Recorded {
    fn finish(&self, tap: Box<dyn RecordingTap>) -> Vec<(i16, i16)> {
        drop(tap);
        self.recordings.finish(PATIENCE);
        read(&self.path)
    }
}

#[test]
fn both_sides_lie_at_their_time_to_the_sample() {
    let (recorded, mut tap) = recorded();
    for frame in 0..100 {
        tap.caller(ms(1_500 + frame * 20), &tone(11, 20));
    }
    for chunk in 0..5 {
        tap.agent(ms(3_000 + chunk * 100), &tone(22, 100));
    }
    tap.agent(Duration::from_micros(3_777_777), &tone(33, 100));
    let frames = recorded.finish(tap);
    assert_eq!(stretches(frames.iter().map(|f| f.0)), [(11, 12_000, 16_000)]);
    assert_eq!(stretches(frames.iter().map(|f| f.1)), [(22, 24_000, 4_000), (33, 30_222, 800)]);
    assert_eq!(recorded.recordings.dropped_samples(), 0);
}

#[test]
fn arrival_jitter_leaves_no_clicks() {
    let (recorded, mut tap) = recorded();
    for (frame, late) in (0..200).zip([0, 13, 4, 31, 0, 22].into_iter().cycle()) {
        tap.caller(ms(frame * 20 + late), &tone(5, 20));
    }
    assert_eq!(stretches(recorded.finish(tap).iter().map(|f| f.0)), [(5, 0, 32_000)]);
}

#[test]
fn a_gap_is_silence_and_costs_no_memory_and_no_disk() {
    let (recorded, mut tap) = recorded();
    tap.caller(ms(0), &tone(5, 20));
    tap.caller(ms(300_000), &tone(6, 20));
    let frames = recorded.finish(tap);
    assert_eq!(stretches(frames.iter().map(|f| f.0)), [(5, 0, 160), (6, 2_400_000, 160)]);
    let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&recorded.path).unwrap());
    assert!(blocks * 512 < 200_000, "{} bytes on disk", blocks * 512);
}

#[test]
fn a_time_that_makes_no_sense_is_left_out() {
    let (recorded, mut tap) = recorded();
    tap.caller(ms(0), &tone(5, 20));
    tap.caller(Duration::from_secs(1 << 40), &tone(6, 20));
    tap.caller(ms(20), &tone(7, 20));
    assert_eq!(stretches(recorded.finish(tap).iter().map(|f| f.0)), [(5, 0, 160), (7, 160, 160)]);
    assert_eq!(recorded.recordings.dropped_samples(), 160);
}

#[test]
fn speech_the_caller_cut_off_is_not_in_the_file() {
    let (recorded, mut tap) = recorded();
    for frame in 0..50 {
        tap.caller(ms(frame * 20), &tone(1, 20));
        if frame % 5 == 0 {
            // The agent's audio is sent 400 ms ahead of the ear.
            tap.agent(ms(frame * 20 + 400), &tone(2, 100));
        }
    }
    tap.cut_agent(ms(1_050));
    tap.agent(ms(1_200), &tone(3, 100));
    let frames = recorded.finish(tap);
    assert_eq!(stretches(frames.iter().map(|f| f.1)), [(2, 3_200, 5_200), (3, 9_600, 800)]);
    assert_eq!(stretches(frames.iter().map(|f| f.0)), [(1, 0, 8_000)]);
}

#[test]
fn a_recording_broken_off_goes_on_in_the_same_file() {
    let (recorded, mut tap) = recorded();
    tap.caller(ms(0), &tone(1, 500));
    drop(tap);
    let mut tap = recorded.recordings.open(&recorded.facts, RATE).unwrap();
    tap.caller(ms(700), &tone(2, 500));
    let frames = recorded.finish(tap);
    assert_eq!(stretches(frames.iter().map(|f| f.0)), [(1, 0, 4_000), (2, 5_600, 4_000)]);
}

#[test]
fn only_the_owner_can_read_it() {
    let (recorded, tap) = recorded();
    recorded.finish(tap);
    let mode = |path: &Path| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777;
    assert_eq!((mode(&recorded.path), mode(recorded.path.parent().unwrap())), (0o600, 0o700));
    assert!(recorded.path.parent().unwrap().ends_with("2026-11-18"), "{}", recorded.path.display());
}

/// A disk in memory whose every state can be read, as after a crash, and which can fill up.
#[derive(Clone, Default)]
struct Disk(Arc<DiskState>);

#[derive(Default)]
struct DiskState {
    bytes: Mutex<Vec<u8>>,
    full: AtomicBool,
    blocked: Mutex<bool>,
    unblocked: std::sync::Condvar,
    refused: AtomicU64,
    /// The next write panics.
    panics: AtomicBool,
}

impl Medium for Disk {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        drop(self.0.unblocked.wait_while(self.0.blocked.lock().unwrap(), |blocked| *blocked).unwrap());
        assert!(!self.0.panics.swap(false, Ordering::SeqCst), "planned");
        if self.0.full.load(Ordering::SeqCst) {
            self.0.refused.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut file = self.0.bytes.lock().unwrap();
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        let length = file.len().max(to);
        file.resize(length, 0);
        file[from..to].copy_from_slice(bytes);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.bytes.lock().unwrap().len() as u64)
    }
}

fn on(disk: &Disk, queue: usize) -> WavRecordings {
    let disk = disk.clone();
    WavRecordings::start_on(
        PathBuf::new(),
        Box::new(move |_| Ok(Box::new(disk.clone()))),
        Box::new(|_, _, _| {}),
        queue,
    )
    .unwrap()
}

fn frames_of(disk: &Disk) -> Vec<(i16, i16)> {
    let bytes = disk.0.bytes.lock().unwrap().clone();
    let mut reader = hound::WavReader::new(io::Cursor::new(bytes)).unwrap();
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn wait_until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "waited too long");
        std::thread::yield_now();
    }
}

#[test]
fn a_crash_leaves_a_file_that_can_be_read_up_to_the_last_second() {
    let disk = Disk::default();
    let recordings = on(&disk, 64);
    let mut tap = recordings.open(&facts(), RATE).unwrap();
    for second in 0..3 {
        tap.caller(ms(second * 1_000), &tone(9, 1_000));
    }
    // Nothing is closed: what is on the disk now is what a crash leaves behind.
    wait_until(|| disk.0.bytes.lock().unwrap().len() > 44 && frames_of(&disk).len() >= 16_000);
    assert!(frames_of(&disk).iter().all(|frame| *frame == (9, 0)));
}

#[test]
fn a_full_disk_costs_only_the_time_it_was_full() {
    let disk = Disk::default();
    let owner = Owner { call: facts().call, admitted: Instant::now() };
    let mut recording = Recording::new(owner, PathBuf::from("x.wav"), RATE, Weak::new());
    let shared = Arc::new(Shared {
        jobs: sync_channel(1).0,
        next_id: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        stopped: AtomicUsize::new(0),
        ending: AtomicBool::new(false),
    });
    let of = disk.clone();
    let (marks, marked) = sync_channel(8);
    let outside = super::Disk {
        open: Box::new(move |_| Ok(Box::new(of.clone()))),
        on_mark: Box::new(move |_, mark, _| marks.send(mark).unwrap()),
        shared: Arc::clone(&shared),
    };
    let hear = |recording: &mut Recording, second: u64| {
        recording.timeline.place(Side::Caller, ms(second * 1_000), &tone(second as i16 + 1, 1_000));
        recording.write(false, &outside);
    };
    hear(&mut recording, 0);
    disk.0.full.store(true, Ordering::SeqCst);
    for second in 1..6 {
        hear(&mut recording, second);
    }
    assert_eq!(disk.0.refused.load(Ordering::SeqCst), 1, "tried again before the wait was over");
    assert!(recording.timeline.ready(true).unwrap().1.len() <= RATE as usize * 4, "more than a second kept");
    assert_eq!((marked.try_recv(), shared.stopped.load(Ordering::SeqCst)), (Ok(Mark::Stopped), 1));
    disk.0.full.store(false, Ordering::SeqCst);
    recording.retry_at = Some(Instant::now());
    hear(&mut recording, 6);
    assert_eq!((marked.try_recv(), shared.stopped.load(Ordering::SeqCst)), (Ok(Mark::Resumed), 0));
    recording.close(&outside);
    let heard = stretches(frames_of(&disk).iter().map(|f| f.0));
    assert_eq!(heard, [(1, 0, 1_600), (6, 40_000, 8_000), (7, 48_000, 8_000)]);
    assert_eq!(shared.dropped.load(Ordering::SeqCst), 2 * (40_000 - 1_600));
}

#[test]
fn a_panic_costs_one_recording_a_second_and_no_other_anything() {
    let (disk, other_disk) = (Disk::default(), Disk::default());
    let (first, second) = (disk.clone(), other_disk.clone());
    let marks = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&marks);
    let opened = AtomicU64::new(0);
    let open = move |_: &Path| -> io::Result<Box<dyn Medium>> {
        let is_other = opened.fetch_add(1, Ordering::SeqCst) == 1;
        Ok(Box::new(if is_other { second.clone() } else { first.clone() }))
    };
    let on_mark = Box::new(move |_, mark, _| told.lock().unwrap().push(mark));
    let recordings = WavRecordings::start_on(PathBuf::new(), Box::new(open), on_mark, 1_000).unwrap();
    let mut tap = recordings.open(&facts(), RATE).unwrap();
    let mut other = recordings.open(&facts(), RATE).unwrap();
    let second_of = |tap: &mut Box<dyn RecordingTap>, second: u64, value: i16| {
        for frame in 0..50 {
            tap.caller(ms(second * 1_000 + frame * 20), &tone(value, 20));
        }
    };
    for second in 0..3 {
        second_of(&mut tap, second, 11);
        second_of(&mut other, second, 33);
    }
    wait_until(|| disk.0.bytes.lock().unwrap().len() > 2 * RATE as usize * 4);
    disk.0.panics.store(true, Ordering::SeqCst);
    second_of(&mut tap, 3, 11);
    wait_until(|| marks.lock().unwrap().contains(&Mark::Resumed));
    for second in 4..7 {
        second_of(&mut tap, second, 22);
        second_of(&mut other, second, 33);
    }
    drop((tap, other));
    recordings.finish(PATIENCE);
    assert_eq!(*marks.lock().unwrap(), [Mark::Stopped, Mark::Resumed]);
    assert_eq!(recordings.stopped(), 0);
    let frames = frames_of(&disk);
    let heard = |value: i16| frames.iter().filter(|(caller, _)| *caller == value).count();
    assert!(heard(11) >= 2 * RATE as usize, "before: {}", heard(11));
    assert_eq!(heard(22), 3 * RATE as usize, "all of what came after");
    assert_eq!(frames.len(), 7 * RATE as usize, "and at its time");
    assert!(frames_of(&other_disk).iter().filter(|(caller, _)| *caller == 33).count() == 6 * RATE as usize);
}

#[test]
fn a_slow_disk_drops_audio_and_never_holds_the_call_up() {
    let disk = Disk::default();
    *disk.0.blocked.lock().unwrap() = true;
    let recordings = on(&disk, 8);
    let mut tap = recordings.open(&facts(), RATE).unwrap();
    let began = Instant::now();
    for frame in 0..1_000 {
        tap.caller(ms(frame * 20), &tone(1, 20));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "took {:?}", began.elapsed());
    assert!(recordings.dropped_samples() >= 990 * 160, "{} dropped", recordings.dropped_samples());
    assert!(recordings.open(&facts(), RATE).is_none(), "a recording was promised that nobody will write");
    *disk.0.blocked.lock().unwrap() = false;
    disk.0.unblocked.notify_all();
    // `Close` had no room either: the writer notices by itself that the tap is gone.
    drop(tap);
    recordings.finish(PATIENCE);
    assert!(!frames_of(&disk).is_empty());
}

#[test]
fn an_unusable_rate_is_not_recorded() {
    let recordings = on(&Disk::default(), 8);
    assert!(recordings.open(&facts(), 11_025).is_none());
}

#[test]
fn audio_at_another_rate_keeps_its_length() {
    let mut timeline = Timeline::new(24_000);
    assert_eq!(timeline.place(Side::Agent, ms(0), &tone(4, 100)), 0);
    assert_eq!(timeline.ready(true).map(|(_, bytes)| bytes.len()), Some(2_400 * 4));
}
