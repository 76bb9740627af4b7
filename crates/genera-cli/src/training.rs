//! One session of training: the engine's loop between the moments at which something is saved or shown.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use genera::burn::tensor::Device;
use genera::train::{FitError, Observer, Outcome as FitOutcome, fit};
use genera::traits::{Batch, Learner, Scalars};
use genera_data::Batches;
use genera_rng::Rng;
use indicatif::{ProgressBar, ProgressStyle};

use crate::collapse::Collapse;
use crate::console::Console;
use crate::data::Data;
use crate::failure::{Failure, Outcome};
use crate::family::{Family, Trainee};
use crate::measure::{Draw, Subject, modes};
use crate::run::{EventFile, Log, LogLine, Picture, Progress, RunDir};
use crate::signals;

/// Rows of a preview.
const PREVIEW: usize = 36;
/// Samples among which modes are looked for.
const AMONG: usize = 1000;

/// How a session ended without an error.
pub enum Ending {
    /// Every step was taken.
    Finished,
    /// A signal asked to stop after this many steps; they are saved.
    Asked(u64),
}

/// A training under way.
pub struct Session<'a> {
    run: &'a RunDir,
    data: &'a Data,
    device: &'a Device,
    console: Console,
    /// As of the last checkpoint, saved or resumed from.
    saved: Progress,
    watcher: Watcher,
    started: Instant,
    /// Seconds of the sessions before.
    before: f64,
}

impl<'a> Session<'a> {
    /// Goes on from `start`.
    pub fn new(
        run: &'a RunDir,
        data: &'a Data,
        device: &'a Device,
        console: Console,
        start: Progress,
        resumed: bool,
    ) -> Outcome<Self> {
        let started = Instant::now();
        let train = &run.recipe().train;
        let watcher = Watcher {
            log: Log::open(&run.log_path(), start.step)?,
            events: EventFile::create(run.path(), resumed.then_some(start.step + 1))?,
            every: train.log_every,
            total: train.steps,
            window: Mean::default(),
            since_saved: Mean::default(),
            collapse: Collapse::default(),
            display: Display::new(console, start.step, train.steps),
            started,
            before: start.seconds,
            failure: None,
        };
        Ok(Self { run, data, device, console, saved: start, watcher, started, before: start.seconds })
    }

    /// Trains to the end of the recipe.
    pub fn train(&mut self, trainee: &mut dyn Trainee) -> Outcome<Ending> {
        let train = &self.run.recipe().train;
        let mut step = self.saved.step;
        while step < train.steps {
            // Up to the next moment at which something is to be saved or shown.
            let next = [train.checkpoint_every, train.preview_every]
                .into_iter()
                .filter(|&every| every > 0)
                .map(|every| (step / every + 1) * every)
                .fold(train.steps, u64::min);
            let ended = self.steps(trainee, step, next)?;
            step = ended.unwrap_or(next);
            if step.is_multiple_of(train.checkpoint_every) || step == train.steps || ended.is_some() {
                self.save(trainee, step)?;
            }
            if train.preview_every > 0
                && (step.is_multiple_of(train.preview_every) || step == train.steps)
                && ended.is_none()
            {
                self.preview(trainee, step)?;
            }
            if ended.is_some() && step < train.steps {
                self.watcher.display.end();
                return Ok(Ending::Asked(step));
            }
        }
        self.watcher.display.end();
        Ok(Ending::Finished)
    }

    /// Takes the steps `from..to`; some number if a signal ended it after so many.
    fn steps(&mut self, trainee: &mut dyn Trainee, from: u64, to: u64) -> Outcome<Option<u64>> {
        let recipe = self.run.recipe();
        let rng = Rng::new(recipe.seed).fork("train");
        let size = recipe.train.batch_size;
        let mut batches = Batches::new(self.data.train().len(), size * recipe.train.accumulate, &rng);
        let (data, device) = (self.data, self.device);
        let (view_rng, mut broken) = (rng.fork("view"), None);
        let micro_batches = |step: u64| {
            let indices = batches.at(step);
            let view_rng = view_rng.at(step);
            let parts = indices
                .chunks(size)
                .zip(0..)
                .map(|(part, i)| data.batch(data.train(), part, &mut view_rng.rows_from(i * size as u64), device));
            parts.collect::<Outcome<Vec<Batch>>>().unwrap_or_else(|failure| {
                broken = Some(failure);
                Vec::new()
            })
        };
        let outcome = fit(trainee, from..to, micro_batches, &rng, &mut self.watcher);
        if let Some(failure) = broken.or_else(|| self.watcher.failure.take()) {
            return Err(failure);
        }
        match outcome {
            Ok(FitOutcome::Finished) => Ok(None),
            Ok(FitOutcome::Stopped(step)) => Ok(Some(step + 1)),
            Err(error) => Err(self.diverged(&error, batches)),
        }
    }

    fn diverged(&self, error: &FitError, mut batches: Batches) -> Failure {
        let rows = batches.at(error.step);
        let shown: Vec<String> = rows.iter().take(8).map(usize::to_string).collect();
        let more = if rows.len() > shown.len() { format!(", … ({} rows)", rows.len()) } else { String::new() };
        let checkpoint = match self.run.checkpoints().newest_step() {
            Some(step) => format!("the last good checkpoint is {}", self.run.checkpoints().path(step).display()),
            None => "there is no checkpoint yet".to_owned(),
        };
        Failure::new(format!("{error}; the batch held rows {}{more}; {checkpoint}", shown.join(", ")))
    }

    fn save(&mut self, trainee: &dyn Trainee, step: u64) -> Outcome {
        if step == self.saved.step {
            return Ok(());
        }
        let seconds = self.before + self.started.elapsed().as_secs_f64();
        let loss = std::mem::take(&mut self.watcher.since_saved).mean("loss");
        let progress = Progress { step, seconds, loss };
        let keep = self.run.recipe().train.keep;
        self.run.checkpoints().save(progress, self.run.recipe_sha256(), &trainee.save(), keep)?;
        self.saved = progress;
        Ok(())
    }

    /// Draws a few samples into `samples/` and into TensorBoard.
    fn preview(&mut self, trainee: &dyn Trainee, step: u64) -> Outcome {
        let recipe = self.run.recipe();
        let subject = Subject {
            recipe,
            recipe_sha256: self.run.recipe_sha256(),
            trainee,
            data: self.data,
            device: self.device,
            step,
        };
        let Some(draw) = Draw::of_recipe(&subject)? else { return Ok(()) };
        if matches!(recipe.model, Family::Adversarial(_)) && modes::are_known(self.data) {
            // Samples that are no numbers are named below.
            if let Ok(among) = draw.rows(AMONG, &Rng::new(recipe.seed).fork("modes"))
                && let Some([covered, known]) = modes::covered(self.data, &among)?
            {
                self.watcher.see_modes(step, covered, known)?;
            }
        }
        // The same noise every time: one sees the same pictures become clear.
        let drawn = draw.rows(PREVIEW, &Rng::new(recipe.seed).fork("preview"));
        let drawn = match drawn {
            Ok(drawn) => drawn,
            Err(Failure::Failed(message)) => {
                self.console.warn(format!("no preview at step {step}: {message}"));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let Some(picture) = drawn.overview() else { return Ok(()) };
        let notes = vec![
            ("genera:step".to_owned(), step.to_string()),
            ("genera:recipe-sha256".to_owned(), self.run.recipe_sha256().to_owned()),
        ];
        let png = picture.to_png(&notes)?;
        crate::run::write_atomically(&self.run.samples_dir()?.join(format!("step-{step:08}.png")), &png)?;
        let (height, width, channels) = (picture.height, picture.width, picture.channels);
        self.watcher.events.picture(step, "samples", &Picture { height, width, channels, png: &png })
    }
}

/// Listens to the loop: log, event file, progress, signals.
struct Watcher {
    log: Log,
    events: EventFile,
    every: u64,
    total: u64,
    /// Since the last line of the log.
    window: Mean,
    /// Since the last checkpoint.
    since_saved: Mean,
    collapse: Collapse,
    display: Display,
    started: Instant,
    before: f64,
    failure: Option<Failure>,
}

impl Observer for Watcher {
    fn after_step(&mut self, step: u64, scalars: &Scalars, _: &dyn Learner) -> ControlFlow<()> {
        let done = step + 1;
        self.window.add(scalars);
        self.since_saved.add(scalars);
        self.display.show(done, scalars);
        if (done.is_multiple_of(self.every) || done == self.total)
            && let Err(failure) = self.write(done)
        {
            self.failure = Some(failure);
            return ControlFlow::Break(());
        }
        if signals::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Watcher {
    fn write(&mut self, step: u64) -> Outcome {
        let scalars = std::mem::take(&mut self.window).means();
        self.collapse.look(step, &scalars).into_iter().for_each(|said| self.display.warn(said));
        let seconds = self.before + self.started.elapsed().as_secs_f64();
        self.events.scalars(step, scalars.iter().map(|(name, value)| (name.as_str(), *value)))?;
        self.log.append(&LogLine { step, seconds, scalars })
    }

    fn see_modes(&mut self, step: u64, covered: usize, known: usize) -> Outcome {
        if let Some(said) = self.collapse.look_at_modes(step, covered, known) {
            self.display.warn(said);
        }
        self.events.scalars(step, [("modes", covered as f64)])
    }
}

/// Running means of scalars by name.
#[derive(Default)]
struct Mean {
    sums: BTreeMap<&'static str, f64>,
    count: u64,
}

impl Mean {
    fn add(&mut self, scalars: &Scalars) {
        self.count += 1;
        for (name, value) in scalars {
            *self.sums.entry(name).or_default() += value;
        }
    }

    fn mean(&self, name: &str) -> f64 {
        self.sums.get(name).map_or(0.0, |sum| sum / self.count as f64)
    }

    /// The log holds numbers: a mean that is none is left out.
    fn means(self) -> BTreeMap<String, f64> {
        let mean = |(name, sum): (&&str, &f64)| ((*name).to_owned(), sum / self.count as f64);
        self.sums.iter().map(mean).filter(|(_, mean)| mean.is_finite()).collect()
    }
}

/// How far it has come: a bar on a terminal, about ten lines elsewhere.
struct Display {
    bar: Option<ProgressBar>,
    console: Console,
    first: u64,
    total: u64,
    started: Instant,
    shown: Option<Instant>,
    loss: f64,
}

impl Display {
    fn new(console: Console, first: u64, total: u64) -> Self {
        let template = "{bar:30} {pos}/{len}  {msg}  {per_sec}  {eta} left";
        let bar = console.draws_bars().then(|| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_position(first)
        });
        Self { bar, console, first, total, started: Instant::now(), shown: None, loss: f64::NAN }
    }

    fn show(&mut self, done: u64, scalars: &Scalars) {
        let loss = scalars.first().map_or(f64::NAN, |(_, value)| *value);
        self.loss = if self.loss.is_nan() { loss } else { 0.98 * self.loss + 0.02 * loss };
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                // Writing a message costs more than a small step.
                if self.shown.is_none_or(|at| at.elapsed() > Duration::from_millis(100)) {
                    self.shown = Some(Instant::now());
                    bar.set_message(format!("loss {:.4}", self.loss));
                }
            }
            None if done.is_multiple_of(self.total.div_ceil(10)) || done == self.total => {
                let rate = (done - self.first) as f64 / self.started.elapsed().as_secs_f64();
                let left = (self.total - done) as f64 / rate;
                let total = self.total;
                self.console
                    .note(format!("step {done}/{total}  loss {:.4}  {rate:.1} steps/s  {left:.0} s left", self.loss));
            }
            None => {}
        }
    }

    fn warn(&self, what: String) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.console.warn(what)),
            None => self.console.warn(what),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
