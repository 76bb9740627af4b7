//! The optimiser alone, on parameters without a network.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use genera::train::{Gradients, Optimizer};
use genera::weights::{Array, Weights};
use genera_kernels::sum_of_squares;

use crate::given::Given;
use crate::work::{Done, OPTIMIZER, Work};

#[derive(Module, Debug)]
struct Arrays {
    arrays: Vec<Param<Tensor<2>>>,
}

pub struct Step {
    arrays: Option<Arrays>,
    gradient: Tensor<1>,
    optimizer: Optimizer,
}

impl Step {
    pub fn new(weights: &Weights, given: &Given) -> Self {
        let device = Device::flex().autodiff();
        let array = |array: &Array| {
            let data = TensorData::new(array.values.clone(), array.shape.clone());
            Param::from_tensor(Tensor::from_data(data, &device).require_grad())
        };
        // "arrays.2" before "arrays.10".
        let arrays = Arrays { arrays: (0..weights.len()).map(|i| array(&weights[&format!("arrays.{i}")])).collect() };
        let optimizer = Optimizer::new(OPTIMIZER, &arrays);
        Self { arrays: Some(arrays), gradient: given.get::<2>("gradient").flatten(0, 1), optimizer }
    }
}

impl Work for Step {
    fn step(&mut self) -> Done {
        if let Some(arrays) = self.arrays.take() {
            let gradients: Gradients =
                (0..arrays.arrays.len()).map(|i| (format!("arrays.{i}"), self.gradient.clone())).collect();
            self.arrays = Some(self.optimizer.step(arrays, gradients, OPTIMIZER.learning_rate()));
        }
        Done { loss: f64::NAN, norm: 0.0 }
    }

    fn result(&self) -> Option<Done> {
        let squares = self.arrays.iter().flat_map(|arrays| &arrays.arrays).map(|p| sum_of_squares(p.val().inner()));
        Some(Done { loss: squares.sum::<f64>().sqrt(), norm: 0.0 })
    }
}
