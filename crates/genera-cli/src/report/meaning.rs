//! What each measure says, in a sentence or two, for a reader who has not met it.

/// The meaning of `measure`, without what it was measured with or on, which follows an `@`; `None` if it is not known.
pub fn of(measure: &str) -> Option<&'static str> {
    Some(match measure.split('@').next().unwrap_or(measure) {
        "frechet" => {
            "Distance between Gaussians fitted to the features of samples and of held-out data; 0 is a perfect match. \
             Comparable only for the same feature extractor and the same numbers of points."
        }
        "frechet-ratio" => {
            "The samples' Fréchet distance to held-out data over that of the training data. \
             At 1 the samples are as good as fresh data would be."
        }
        "rarest-class" | "class-coverage" => {
            "Share of the rarest class among the samples, as a classifier sees them. Near 0, the model has forgotten a \
             class."
        }
        "top-probability" => {
            "Mean probability that the classifier gives to its first choice. High when the samples are clearly of some \
             class; it says nothing about their variety."
        }
        "active-units" => {
            "How many latent numbers carry something: those whose posterior mean has a variance above 0.01 over held-out rows. \
             Far fewer than there are is posterior collapse."
        }
        "mutual-information" => {
            "What a latent says of the row that it was made of, in nats; no more than the logarithm of the number of rows. Near \
             0 the latents are unused."
        }
        "aggregate-divergence" => {
            "Divergence of the mean posterior over held-out rows from the prior, in nats: what a better prior could win. With \
             the mutual information it makes up the mean divergence of the posteriors."
        }
        "class-accuracy" => {
            "Share of the samples that a classifier takes for the class that the model was told to draw. Held-out data of \
             each class score no more than the classifier's accuracy."
        }
        "caption-match" => {
            "Share of the samples that follow all of their caption: the digit as a classifier sees it, and the third of its \
             digit that their measured thickness and slant fall in. The combinations were never shown."
        }
        "digit-match" => "Share of the samples in which a classifier sees the digit that their caption names.",
        "thickness-match" => {
            "Share of the samples whose lines, measured, are in the third of their digit that their caption names. Chance is a \
             third."
        }
        "slant-match" => {
            "Share of the samples whose slant, measured, is in the third of their digit that their caption names. Chance is a \
             third."
        }
        "retrieval" => {
            "Share of the held-out pictures whose own caption, of all combinations of digit, thickness and slant, is the nearest \
             to them. Chance is one in ninety."
        }
        "clip-score" => {
            "Mean cosine between samples and their captions in a space where pictures lie near their captions, beside that of \
             held-out pictures."
        }
        "prior-gain" => {
            "The Fréchet distance to held-out data of rows made of codes that are drawn uniformly, over that of the prior's \
             samples: how many times nearer the prior brings them."
        }
        "usage" => {
            "Share of a book's codes that held-out data use at all. Far below 1, the book has codes that nothing is near."
        }
        "perplexity" => {
            "How many codes of a book would be used if all were used alike, as often as held-out data do: e to the entropy \
             of the codes."
        }
        "inception-score" => {
            "High when each sample is clearly of one class and all classes are there; from 1 to the number of classes. \
             It sees neither variety within a class nor copies."
        }
        "accuracy" => "Share of held-out points that the classifier names rightly.",
        "mmd" => {
            "Squared maximum mean discrepancy: how far samples and held-out data are apart in a kernel's space. 0 if \
             they follow one distribution; the estimate is without bias, so it may fall below."
        }
        "mmd-p" => {
            "Chance of so large a discrepancy if samples and data came from one distribution, by permutation. \
             Above 0.05 this test cannot tell the two apart. Of several groups of samples, the median."
        }
        "kid" => {
            "Kernel inception distance: the squared maximum mean discrepancy of features under a cubic kernel, without \
             bias in the number of points. 0 is a perfect match."
        }
        "nats" => {
            "Negative log-likelihood of held-out data, exact or an upper bound, in nats a point: what it costs at most \
             to code one with this model. Lower is better."
        }
        "bits-per-dimension" => {
            "Negative log-likelihood of held-out data, exact or an upper bound, in bits for each dimension, so that data \
             of any size compare. Bytes stored as they are cost 8. Lower is better."
        }
        "kl" => {
            "Divergence of the true density from the model, in nats, on points never seen. 0 if they are the same; an \
             exact likelihood never gives less, but for chance."
        }
        "reverse-kl" => {
            "Divergence of the model from the true density, in nats, on the model's own samples. 0 if they are the same. \
             A model may lack whole modes and still do well here."
        }
        "modes" => {
            "How many modes of the true mixture hold at least a tenth of the samples they should, within three standard \
             deviations. Fewer than there are is mode collapse."
        }
        "near-modes" => {
            "Share of the samples within three standard deviations of a mode: the others lie between modes."
        }
        "r-hat" => {
            "How much wider all chains together are than each of them: 1 if they have forgotten where they started, above 1.01 \
             they have not. Of all coordinates the worst."
        }
        "effective-share" => {
            "How many independent draws the steps of the chains are worth, as a part of the steps. Of all coordinates the worst."
        }
        "acceptance" => "Share of the proposals that the chains took. In many dimensions 0.57 is best.",
        "wasserstein" => {
            "How far mass must be moved, on average, to turn the samples into held-out points: the area between both \
             distribution functions, in the units of the data. 0 is a perfect match."
        }
        "divergence-gap" => {
            "What a lower bound with a learnt witness lacks of the exact divergence, as a part of it. It is 0 for the best \
             witness and below 0 only by chance."
        }
        "posterior-gain" => {
            "How far the best Gaussians of independent coordinates are from the known posteriors, over how far the learnt posterior is: divergences on a \
             grid. At 1 an encoder without a density gains nothing."
        }
        "memorisation" => {
            "Chance that a sample is nearer to the training data than a held-out point is. \
             A half is healthy; near 1 the model recites what it was shown."
        }
        "memorisation-ratio" => {
            "Distance from samples to their nearest training points over that from held-out points. \
             Near 1 is healthy; far below, the model recites what it was shown."
        }
        "precision" => "Share of the samples that lie where held-out data lie: fidelity.",
        "recall" => "Share of the held-out data that lie where samples lie: variety.",
        "f-score" => "Harmonic mean of precision and recall: low if either is.",
        "density" => {
            "Samples in the neighbourhood of a held-out point, against what data would have: fidelity. 1 is as data."
        }
        "coverage" => "Share of the held-out points that have a sample in their neighbourhood: variety. 1 is all.",
        "heaviest-component" => {
            "Share of the samples that belong to the heaviest part of a known mixture. Right is the weight of that part."
        }
        "fisher" => {
            "How far a score is from that of the true density, relative to its size, on points never seen. 0 is the score \
             itself; 1 is no better than saying nothing."
        }
        "samples-per-second" => "Speed of sampling on this device with the recipe's solver.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_measure_means_the_same_on_any_features() {
        assert!(of("frechet").is_some_and(|meaning| meaning.contains("Gaussians")));
        assert_eq!(of("frechet@digits-classifier"), of("frechet"));
        assert_ne!(of("frechet-ratio@digits-classifier"), of("frechet"));
        assert_eq!(of("frechetx"), None);
        assert_eq!(of(""), None);
        assert_eq!(of("@frechet"), None);
    }
}
