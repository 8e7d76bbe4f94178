"""Trees of state groups against plain dicts: forks, merges, removals, whole states at once."""

from array import array
from math import log2

from hypothesis import given
from hypothesis import strategies as st

from storage.state_chain import EMPTY_GROUP, StateChain, differences
from storage.state_delta import ABSENT, STATE_KEY_NID_MAX, StateDelta, packed_key, unpacked_key

KEYS = [packed_key(type_nid, key_nid) for type_nid in (1, 2, 900) for key_nid in (1, 2, 3, 70_000)]
NIDS = st.sampled_from([ABSENT, 1, 2, 3, 4])
CHANGES = st.dictionaries(st.sampled_from(KEYS), NIDS, min_size=1, max_size=8)
# Each step makes a group of an earlier one: of the last, which makes a line, or of any, which makes a fork.
STEPS = st.lists(st.tuples(st.one_of(st.just(0), st.integers(0, 50)), CHANGES), min_size=1, max_size=60)


class Tree:
    """Groups by number, and what each of them is as a plain dict."""

    def __init__(self):
        self.chains = [StateChain()]
        self.states = [{}]
        self.planned = [None]

    def grow(self, back, changes):
        base = max(0, len(self.chains) - 1 - back)
        planned = self.chains[base].plan(changes)
        self.planned.append(planned)
        self.chains.append(self.chains[base].after(len(self.chains), planned))
        state = {**self.states[base], **changes}
        self.states.append({key: nid for key, nid in state.items() if nid != ABSENT})


def tree_of(steps):
    tree = Tree()
    for back, changes in steps:
        tree.grow(back, changes)
    return tree


@given(STEPS)
def test_every_group_is_what_its_changes_make(steps):
    tree = tree_of(steps)

    for number, (chain, state) in enumerate(zip(tree.chains, tree.states, strict=True)):
        assert chain.group == number
        assert chain.items() == state
        assert {key: chain.get(key) for key in KEYS} == {key: state.get(key) for key in KEYS}


@given(STEPS)
def test_a_chain_is_short_and_its_links_are_those_of_its_base(steps):
    tree = tree_of(steps)

    for chain, planned in zip(tree.chains[1:], tree.planned[1:], strict=True):
        assert len(chain.links) <= log2(chain.depth) + 1
        depths = [link.depth for link in chain.links]
        assert depths == sorted(set(depths), reverse=True)
        below = tree.chains[planned.base]
        assert (planned.base == EMPTY_GROUP) == (not chain.links[1:])
        assert chain.links[1:] == below.links
        if planned.is_step:
            assert [nid != ABSENT for nid in planned.delta.nids] == [True]


@given(STEPS, st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_differences_are_those_of_the_dicts(steps, asked):
    tree = tree_of(steps)
    numbers = [one % len(tree.chains) for one in asked]

    found = differences([tree.chains[number] for number in numbers])

    values = {key: tuple(tree.states[number].get(key) for number in numbers) for key in KEYS}
    assert found == {key: there for key, there in values.items() if len(set(there)) > 1}


@given(STEPS, STEPS)
def test_a_merge_is_its_base_and_the_differences(steps, more):
    """Make what a resolved fork makes: one branch, and what the other one has for some keys."""
    tree = tree_of(steps)
    fork = len(tree.chains) - 1
    for back, changes in more:
        tree.grow(min(back, len(tree.chains) - 1 - fork), changes)
    one, other = tree.chains[fork], tree.chains[-1]

    changes = {key: values[1] or ABSENT for key, values in differences((one, other)).items()}

    merged = one.after(1_000, one.plan(changes)) if changes else one
    assert merged.items() == other.items() == tree.states[-1]


def test_a_line_costs_each_group_half_its_logarithm_on_average():
    chain, entries, rows = StateChain(), 0, 0
    for number in range(1, 4_097):
        planned = chain.plan({packed_key(5, number): number})
        rows += not planned.is_step
        entries += 0 if planned.is_step else len(planned.delta)
        chain = chain.after(number, planned)

    assert rows == 2_048
    assert entries <= 4_096 * log2(4_096) / 2 + 4_096
    assert len(chain.links) == 1


# What is stored of a delta.

DELTAS = st.dictionaries(
    st.builds(packed_key, st.integers(1, 2**31 - 1), st.integers(1, STATE_KEY_NID_MAX)),
    st.one_of(st.just(ABSENT), st.integers(1, 2**62), st.integers(-(2**40), -1)),
    max_size=100,
)


@given(DELTAS, st.integers(-(2**40), 2**62))
def test_a_delta_is_read_as_it_was_written(values, near):
    delta = StateDelta.of(values)

    read = StateDelta.unpack(delta.pack(near), near)

    assert (read.keys, read.nids) == (delta.keys, delta.nids)
    assert read.items() == values


@given(st.integers(1, 2_000), st.integers(1, 2**40))
def test_a_delta_of_neighbours_takes_few_bytes(count, first):
    positions = [(first + number) << 22 for number in range(count)]
    keys = array("q", [packed_key(5, 10 + 3 * number) for number in range(count)])

    packed = StateDelta(keys, array("q", positions)).pack(positions[-1])

    assert len(packed) <= 11 + 4 * count


@given(st.integers(1, 2**31 - 1), st.integers(1, STATE_KEY_NID_MAX))
def test_a_key_holds_type_and_state_key(type_nid, state_key_nid):
    assert unpacked_key(packed_key(type_nid, state_key_nid)) == (type_nid, state_key_nid)
