//! The adjoint method remembers nothing of the way: ten times the steps in the same memory. Alone in its file, because
//! it looks at the memory of the whole process.
#![cfg(target_os = "linux")]

use genera::Rng;
use genera::burn::module::Module;
use genera::burn::tensor::{Device, Tensor, TensorData};
use genera::continuous::{Backward, ContinuousFlowConfig, Divergence, FieldMlpConfig, Integration};
use genera::ode::{Method, Solver};
use genera::traits::{Batch, Model};

const ROWS: usize = 2048;

/// The peak resident memory of a training step, above what was there before, in MiB.
fn peak(backward: Backward, steps: usize) -> f64 {
    let training = Integration { solver: Solver::fixed(Method::Rk4, steps), divergence: Divergence::Exact };
    let config = ContinuousFlowConfig { training, backward, ..ContinuousFlowConfig::default() };
    let net = FieldMlpConfig { hidden: vec![16, 16], ..FieldMlpConfig::default() };
    let model = config.init(net.init(2, &mut Rng::new(0), &Device::flex()).unwrap()).unwrap().train();
    let x = Tensor::from_data(TensorData::new(Rng::new(1).normal(ROWS, 2), [ROWS, 2]), &Device::flex());
    let memory = |name: &str| -> f64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    // Sets the peak back to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    assert!(model.loss(Batch { x, labels: None }, &mut Rng::new(0)).value.into_scalar::<f32>().is_finite());
    memory("VmHWM") - before
}

#[test]
fn the_adjoint_needs_no_more_memory_for_ten_times_the_steps() {
    peak(Backward::Adjoint, 20); // whatever is allocated once
    let [few, many] = [20, 200].map(|steps| peak(Backward::Adjoint, steps));
    assert!(many < few + 4.0, "{few} MiB became {many} MiB");
    // The same measure sees what the other method keeps: four states of three numbers a step and row, 37 MiB more.
    let [few, many] = [20, 200].map(|steps| peak(Backward::Solver, steps));
    assert!(many > few + 20.0, "{few} MiB became only {many} MiB: nothing was measured");
}
