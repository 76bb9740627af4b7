//! The blocks of the network: branches of convolutions side by side, whose channels are laid one after another.

use burn::tensor::{Slice, Tensor, TensorData};
use genera_kernels::{Activation, ConvOptions, activate, conv2d, linear};

use super::{CLASSES, FEATURES};
use crate::features::source::{Norm, Source};
use crate::weights::WeightsError;

/// The ε of every batch normalisation.
const EPS: f64 = 1e-3;

/// A convolution with its batch normalisation folded in, then max(·, 0).
#[derive(Debug)]
struct Conv {
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions,
}

impl Conv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = conv2d(x, self.weight.clone(), Some(self.bias.clone()), None, self.options);
        activate(y, Activation::Relu)
    }

    /// Of the mean of each 3x3 window. For a 1x1 kernel the mean may as well come after it.
    fn forward_of_mean(&self, x: Tensor<4>) -> Tensor<4> {
        let y = mean3x3(conv2d(x, self.weight.clone(), None, None, self.options));
        activate(y + self.bias.clone().unsqueeze(), Activation::Relu)
    }
}

/// One step of a branch.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are a hundred of them")]
enum Step {
    Conv(Conv),
    /// Convolutions of the same image, laid side by side.
    Fork([Conv; 2]),
    /// A 1x1 convolution of the mean of each 3x3 window.
    MeanConv(Conv),
    /// The maximum of each 3x3 window, at every place or at every second one.
    Max3x3(Stride),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stride {
    /// The image keeps its size.
    One,
    /// Windows lie within the image.
    Two,
}

/// Branches side by side.
#[derive(Debug)]
struct Block(Vec<Vec<Step>>);

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let branch = |steps: &Vec<Step>| steps.iter().fold(x.clone(), |x, step| step.forward(x));
        Tensor::cat(self.0.iter().map(branch).collect(), 3)
    }
}

impl Step {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Fork(pair) => Tensor::cat(pair.iter().map(|conv| conv.forward(x.clone())).collect(), 3),
            Self::MeanConv(conv) => conv.forward_of_mean(x),
            Self::Max3x3(stride) => max3x3(x, *stride),
        }
    }
}

/// The whole network behind the resizing.
#[derive(Debug)]
pub(super) struct Network {
    /// Before and after the first pooling.
    stem: [Vec<Conv>; 2],
    blocks: Vec<Block>,
    classes: Tensor<2>,
}

impl Network {
    /// `[B, 299, 299, 3] -> [B, 2048], [B, 1008]`.
    pub(super) fn forward(&self, x: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let stem = |x, convs: &Vec<Conv>| max3x3(convs.iter().fold(x, |x, conv| conv.forward(x)), Stride::Two);
        let x = self.stem.iter().fold(x, stem);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [batch, height, width, channels] = x.dims();
        let features = x.reshape([batch, height * width, channels]).mean_dim(1).reshape([batch, channels]);
        let logits = linear(features.clone(), self.classes.clone(), None, Activation::Identity);
        (features, logits)
    }

    pub(super) fn from_source(source: &mut Source<'_>) -> Result<Self, WeightsError> {
        let (valid, same) = (ConvOptions::default(), ConvOptions::same(3));
        let halving = ConvOptions { stride: [2; 2], ..valid };
        let stem = [
            vec![
                source.folded("Conv2d_1a_3x3", [32, 3, 3, 3], halving)?,
                source.folded("Conv2d_2a_3x3", [32, 32, 3, 3], valid)?,
                source.folded("Conv2d_2b_3x3", [64, 32, 3, 3], same)?,
            ],
            vec![
                source.folded("Conv2d_3b_1x1", [80, 64, 1, 1], valid)?,
                source.folded("Conv2d_4a_3x3", [192, 80, 3, 3], valid)?,
            ],
        ];
        let blocks = vec![
            source.block_a("Mixed_5b", 192, 32)?,
            source.block_a("Mixed_5c", 256, 64)?,
            source.block_a("Mixed_5d", 288, 64)?,
            source.block_b("Mixed_6a", 288)?,
            source.block_c("Mixed_6b", 768, 128)?,
            source.block_c("Mixed_6c", 768, 160)?,
            source.block_c("Mixed_6d", 768, 160)?,
            source.block_c("Mixed_6e", 768, 192)?,
            source.block_d("Mixed_7a", 768)?,
            source.block_e("Mixed_7b", 1280, |conv| vec![Step::MeanConv(conv)])?,
            source.block_e("Mixed_7c", 2048, |conv| vec![Step::Max3x3(Stride::One), Step::Conv(conv)])?,
        ];
        source.array("fc.bias", &[CLASSES])?;
        let classes = source.array("fc.weight", &[CLASSES, FEATURES])?.to_data();
        Ok(Self { stem, blocks, classes: Tensor::from_data(classes, &source.device) })
    }
}

/// One convolution of a branch: name, outputs, kernel. The size of the image is kept.
type Line = (&'static str, usize, [usize; 2]);

impl Source<'_> {
    fn folded(&mut self, name: &str, shape: [usize; 4], options: ConvOptions) -> Result<Conv, WeightsError> {
        let norm = Norm { name: &format!("{name}.bn"), eps: EPS };
        let (weight, bias) = self.conv(&format!("{name}.conv"), shape, Some(norm))?;
        Ok(Conv { weight, bias, options })
    }

    fn line(&mut self, block: &str, inputs: usize, (name, outputs, [kh, kw]): Line) -> Result<Conv, WeightsError> {
        let options = ConvOptions { padding: [[kh / 2; 2], [kw / 2; 2]], ..ConvOptions::default() };
        self.folded(&format!("{block}.{name}"), [outputs, inputs, kh, kw], options)
    }

    /// Convolutions one after another.
    fn branch(&mut self, block: &str, inputs: usize, lines: &[Line]) -> Result<Vec<Step>, WeightsError> {
        let before = std::iter::once(inputs).chain(lines.iter().map(|line| line.1));
        before.zip(lines).map(|(inputs, line)| self.line(block, inputs, *line).map(Step::Conv)).collect()
    }

    /// Convolutions one after another, and a last 3x3 one that halves the image.
    fn halving_branch(
        &mut self,
        block: &str,
        inputs: usize,
        lines: &[Line],
        (name, outputs): (&str, usize),
    ) -> Result<Vec<Step>, WeightsError> {
        let mut steps = self.branch(block, inputs, lines)?;
        let inputs = lines.last().map_or(inputs, |line| line.1);
        let options = ConvOptions { stride: [2; 2], ..ConvOptions::default() };
        steps.push(Step::Conv(self.folded(&format!("{block}.{name}"), [outputs, inputs, 3, 3], options)?));
        Ok(steps)
    }

    fn block_a(&mut self, block: &str, inputs: usize, pooled: usize) -> Result<Block, WeightsError> {
        Ok(Block(vec![
            self.branch(block, inputs, &[("branch1x1", 64, [1, 1])])?,
            self.branch(block, inputs, &[("branch5x5_1", 48, [1, 1]), ("branch5x5_2", 64, [5, 5])])?,
            self.branch(
                block,
                inputs,
                &[("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3]), ("branch3x3dbl_3", 96, [3, 3])],
            )?,
            vec![Step::MeanConv(self.line(block, inputs, ("branch_pool", pooled, [1, 1]))?)],
        ]))
    }

    fn block_b(&mut self, block: &str, inputs: usize) -> Result<Block, WeightsError> {
        let double = [("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3])];
        Ok(Block(vec![
            self.halving_branch(block, inputs, &[], ("branch3x3", 384))?,
            self.halving_branch(block, inputs, &double, ("branch3x3dbl_3", 96))?,
            vec![Step::Max3x3(Stride::Two)],
        ]))
    }

    fn block_c(&mut self, block: &str, inputs: usize, c: usize) -> Result<Block, WeightsError> {
        let (across, down) = ([1, 7], [7, 1]);
        Ok(Block(vec![
            self.branch(block, inputs, &[("branch1x1", 192, [1, 1])])?,
            self.branch(
                block,
                inputs,
                &[("branch7x7_1", c, [1, 1]), ("branch7x7_2", c, across), ("branch7x7_3", 192, down)],
            )?,
            self.branch(
                block,
                inputs,
                &[
                    ("branch7x7dbl_1", c, [1, 1]),
                    ("branch7x7dbl_2", c, down),
                    ("branch7x7dbl_3", c, across),
                    ("branch7x7dbl_4", c, down),
                    ("branch7x7dbl_5", 192, across),
                ],
            )?,
            vec![Step::MeanConv(self.line(block, inputs, ("branch_pool", 192, [1, 1]))?)],
        ]))
    }

    fn block_d(&mut self, block: &str, inputs: usize) -> Result<Block, WeightsError> {
        let seven = [("branch7x7x3_1", 192, [1, 1]), ("branch7x7x3_2", 192, [1, 7]), ("branch7x7x3_3", 192, [7, 1])];
        Ok(Block(vec![
            self.halving_branch(block, inputs, &[("branch3x3_1", 192, [1, 1])], ("branch3x3_2", 320))?,
            self.halving_branch(block, inputs, &seven, ("branch7x7x3_4", 192))?,
            vec![Step::Max3x3(Stride::Two)],
        ]))
    }

    fn block_e(
        &mut self,
        block: &str,
        inputs: usize,
        pooled: impl FnOnce(Conv) -> Vec<Step>,
    ) -> Result<Block, WeightsError> {
        let mut single = self.branch(block, inputs, &[("branch3x3_1", 384, [1, 1])])?;
        single.push(self.fork(block, ["branch3x3_2a", "branch3x3_2b"])?);
        let mut double =
            self.branch(block, inputs, &[("branch3x3dbl_1", 448, [1, 1]), ("branch3x3dbl_2", 384, [3, 3])])?;
        double.push(self.fork(block, ["branch3x3dbl_3a", "branch3x3dbl_3b"])?);
        Ok(Block(vec![
            self.branch(block, inputs, &[("branch1x1", 320, [1, 1])])?,
            single,
            double,
            pooled(self.line(block, inputs, ("branch_pool", 192, [1, 1]))?),
        ]))
    }

    fn fork(&mut self, block: &str, [across, down]: [&'static str; 2]) -> Result<Step, WeightsError> {
        Ok(Step::Fork([self.line(block, 384, (across, 384, [1, 3]))?, self.line(block, 384, (down, 384, [3, 1]))?]))
    }
}

/// The mean of the 3x3 window around each place, of what lies within the image: `[B, H, W, C] -> [B, H, W, C]`.
fn mean3x3(x: Tensor<4>) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    let device = x.device();
    let along = |n: usize| -> Vec<f32> {
        (0..n).map(|i| 1.0 / (1 + usize::from(i > 0) + usize::from(i + 1 < n)) as f32).collect()
    };
    let rows = Tensor::<4>::from_data(TensorData::new(along(height), [1, height, 1, 1]), &device);
    let columns = Tensor::<4>::from_data(TensorData::new(along(width), [1, 1, width, 1]), &device);
    let x = three(with_border(x, 1), 1, |a, b| a + b) * rows;
    three(with_border(x, 2), 2, |a, b| a + b) * columns
}

/// The maximum of 3x3 windows of numbers that are not negative.
fn max3x3(x: Tensor<4>, stride: Stride) -> Tensor<4> {
    let along = |x: Tensor<4>, axis: usize| match stride {
        // Zero is no larger than what is there.
        Stride::One => three(with_border(x, axis), axis, Tensor::max_pair),
        Stride::Two => {
            let n = x.dims()[axis] as isize;
            let part = |first: isize| {
                let mut slices = [Slice::full(); 4];
                slices[axis] = Slice::new(first, Some(n - 2 + first), 2);
                x.clone().slice(slices)
            };
            part(0).max_pair(part(1)).max_pair(part(2))
        }
    };
    along(along(x, 1), 2)
}

/// Zeros before and behind, along `axis`.
fn with_border(x: Tensor<4>, axis: usize) -> Tensor<4> {
    let mut shape = x.dims();
    shape[axis] = 1;
    let zeros = Tensor::zeros(shape, &x.device());
    Tensor::cat(vec![zeros.clone(), x, zeros], axis)
}

/// Every three neighbours along `axis`, taken together.
fn three(x: Tensor<4>, axis: usize, together: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    let n = x.dims()[axis] - 2;
    let part = |first| x.clone().narrow(axis, first, n);
    together(together(part(0), part(1)), part(2))
}
