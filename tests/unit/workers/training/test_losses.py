"""Losses: classes weigh alike, doubt is taught, and focal loss looks at what is hard."""

import pytest
import torch

from workers.training.losses import class_weights, loss_of
from workers.training.optimisation import Optimisation

ONES = (torch.ones(1), torch.ones(1))


def test_class_weights_make_the_classes_count_alike() -> None:
    targets = torch.tensor([[1.0], [1.0], [1.0], [0.0]])

    absent, present = class_weights(targets, 1.0)

    assert 3 * present.item() == pytest.approx(absent.item())
    assert 3 * present.item() + absent.item() == pytest.approx(4)


def test_without_balance_every_case_counts_as_it_comes() -> None:
    absent, present = class_weights(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), 0.0)

    assert absent.tolist() == present.tolist() == [1.0, 1.0]


def test_a_label_that_no_case_has_gives_no_infinite_weight() -> None:
    absent, present = class_weights(torch.tensor([[0.0], [0.0]]), 1.0)

    assert (absent.item(), present.item()) == (1.0, 1.0)


def test_smoothing_draws_the_best_answer_towards_one_half() -> None:
    how = Optimisation(label_smoothing=0.2)
    logits = torch.logit(torch.tensor([[0.9], [0.99]]))
    targets = torch.ones(2, 1)

    losses = [loss_of(logits[at], targets[at], ONES, how) for at in range(2)]

    assert losses[0] < losses[1]


def test_focal_loss_counts_little_what_is_right_already() -> None:
    logits, targets = torch.tensor([[4.0], [-4.0]]), torch.ones(2, 1)
    focal = Optimisation(loss="focal", focal_gamma=2, label_smoothing=0)
    plain = Optimisation(label_smoothing=0)

    right, wrong = (
        loss_of(logits[at], targets[at], ONES, focal)
        / loss_of(logits[at], targets[at], ONES, plain)
        for at in range(2)
    )

    # (1 - p) ** 2 of Lin et al. 2017, equation 4.
    assert right == pytest.approx(0.018**2, rel=0.01)
    assert wrong == pytest.approx(0.982**2, rel=0.01)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, targets = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float()
    weights = (torch.ones(3), torch.ones(3))

    focal = loss_of(logits, targets, weights, Optimisation(loss="focal", focal_gamma=0))

    torch.testing.assert_close(focal, loss_of(logits, targets, weights, Optimisation()))


def test_the_loss_of_an_ensemble_is_the_mean_of_its_members() -> None:
    members, targets = torch.randn(3, 5, 1), torch.ones(5, 1)

    each = [loss_of(logits, targets, ONES, Optimisation()) for logits in members]

    torch.testing.assert_close(
        loss_of(members, targets, ONES, Optimisation()), torch.stack(each).mean()
    )


def test_focal_loss_is_learnt_from_as_a_whole() -> None:
    """Its slope has the slope of the factor in it, as in Lin et al. 2017, appendix B."""
    logit = torch.tensor([[0.7]], requires_grad=True)
    how = Optimisation(loss="focal", focal_gamma=2, label_smoothing=0)

    loss_of(logit, torch.ones(1, 1), ONES, how).backward()

    p = torch.sigmoid(torch.tensor(0.7))
    expected = (1 - p) ** 2 * (2 * p * p.log() + p - 1)
    assert logit.grad is not None
    assert logit.grad.item() == pytest.approx(expected.item())
