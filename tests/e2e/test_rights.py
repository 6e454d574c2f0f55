"""What the service accounts of a namespaced installation may do, as the API server itself tells it."""

import pytest
from tests.e2e.cluster import kubectl
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ACCOUNTS = ["af-operator", "af-coordinator", "af-worker", "af-redis"]


def rights(fleet: Installation, account: str, namespace: str) -> set[str]:
    user = f"system:serviceaccount:{fleet.namespace}:{account}"
    groups = ("system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{fleet.namespace}")
    impersonated = [f"--as={user}", *(f"--as-group={group}" for group in groups)]
    return set(kubectl("auth", "can-i", "--list", "-n", namespace, *impersonated).splitlines())


@pytest.mark.parametrize("account", ACCOUNTS)
def test_no_account_has_a_right_outside_its_namespace(shared: Installation, account: str) -> None:
    assert shared.objects("serviceaccount", account)
    assert rights(shared, account, "default") == rights(shared, "nobody", "default")


def test_inside_it_the_operator_alone_has_more_than_anyone(shared: Installation) -> None:
    own = shared.namespace
    nobody = rights(shared, "nobody", own)
    assert [account for account in ACCOUNTS if rights(shared, account, own) != nobody] == ["af-operator"]
