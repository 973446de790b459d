"""Names for runs that were given none: two words and a number, such as ``brisk-harbour-417``."""

import os

_FIRST = """
airy amber ample autumn balmy bold brass breezy brief bright brisk bronze calm candid chalky chilly civil clear coastal
copper coral cosy crisp dapper deep dewy dry dusky eager early earthy even faint fair fast fine firm fleet floral fond
frank fresh frosty gilded glad glossy grand green hardy hazel hazy honest humble icy inky ivory jade jolly keen kind
late leafy level light limber linen lofty loyal lucid lunar maple mellow merry mild misty mossy nimble noble northern
olive open pale patient pearl plain plucky polar proud quick quiet rapid rustic salty sandy silver sleek snowy solar
spry stout sunny swift tidal upland velvet vivid warm
""".split()
_SECOND = """
anchor arbour arch attic barn basin bay beacon bell bench boulder bridge brook cabin canal canyon castle cavern cedar
chapel cliff cloud comet cottage cove crater creek delta dock dune eddy elm ember fen fern field fjord forest forge
fountain garden gate glade glen gorge granite grove harbour heath hedge hill hollow inlet island jetty kiln lagoon lake
lantern ledge lighthouse lock loft marsh meadow mesa mill moor mountain oak orchard path pavilion peak pebble pier pine
plain plateau pond prairie quarry quay rapids reef ridge river sail shore slope spire spring steppe stile stream summit
thicket tower trail tundra valley vineyard wharf willow windmill
""".split()


def generate() -> str:
    """A new name. They are not unique: the id is what tells runs apart."""
    # Not from the random module, whose import would cost more than all names of a day.
    first, second, number = (int.from_bytes(os.urandom(4), "big") for _ in range(3))
    return f"{_FIRST[first % len(_FIRST)]}-{_SECOND[second % len(_SECOND)]}-{number % 1000}"
