"""How the probes for two agents are solved, and what happens in their traps: each probe's solution, then its traps."""

from probe_player import Play

SCRIPTS: dict[str, list[Play]] = {
    "coordinated_exchange": [
        Play("take y; put 3,5; 1 take 3,5; 1 put 2,6; 1 take p; 1 put 3,5; take 3,5; 1 take 2,6", pays=58),
        Play("take y; put 3,5; 1 take 3,5; wait", pays=(0, 70)),
        Play("take y; 1 take p; 1 put 3,5; put 2,4; take 3,5", pays=(62, 0)),
    ],
    "kickball": [
        Play("go 8,4; walk north 6; 1 go 4,5; 1 walk west 3", pays=53, fires=(1, 0)),
        Play("take b; wait", pays=0, fires=(2,), is_dead=True),
        Play("go 8,4; walk north 6; 1 take 4,4", pays=0, fires=(1, 0, 3), is_dead=True),
    ],
    "pass_over_the_wall_once": [
        Play("take b; put 2,5; 1 take 2,5; 1 put 2,7", pays=47),
        Play("take b; put 2,5; wait", pays=0),
    ],
    "pass_over_the_wall_repeatedly": [
        Play(
            "take b; put 2,5; 1 take 2,5; 1 put 2,7; 1 take 2,7; 1 put 2,5; take 2,5; put 2,3; take 2,3; "
            "put 2,5; 1 take 2,5; 1 put 2,7; 1 take 2,7; 1 put 2,5; take 2,5; put 2,3",
            pays=109,
            fires=(1, 2, 0),
        ),
        Play("take b; put 2,3", pays=0),
    ],
    "combine_outputs": [
        Play(
            "take y; put 2,3; take 2,3; put 3,5; 1 take p; 1 put 2,7; 1 take 2,7; 1 put 2,5", pays=96, fires=(3, 1, 0)
        ),
        Play("take y; put 3,5; 1 take p; 1 put 2,5", pays=0, fires=(2,), is_dead=True),
    ],
    "coordinated_production": [
        Play("take y; put 3,4; 1 take 3,4; 1 put 3,6; 1 take 3,6; 1 put 5,4", pays=63, fires=(2, 1, 0)),
        Play("1 take y; 1 put 3,6", pays=0),
    ],
    "coordinated_production_with_dead_ends": [
        Play("take y; put 3,4; 1 take 3,4; 1 put 3,6; 1 take 3,6; 1 put 5,4", pays=63, fires=(2, 1, 0)),
        Play("1 take y; wait", pays=0, fires=(3,), is_dead=True),
        Play("take y; put 3,6", pays=0, fires=(2, 4), is_dead=True),
        Play("take y; put 3,4; 1 take 3,4; 1 put 3,5; take 3,5", pays=0, fires=(2, 1, 5), is_dead=True),
    ],
    "two_machines": [
        Play(
            "take b; put 1,5; 1 take p; 1 put 3,5; take 3,5; put 2,3; take 2,3; put 3,5; 1 take 1,5; "
            "1 put 2,7; 1 take 2,7; 1 put 2,5",
            pays=104,
            fires=(3, 1, 2),
        ),
        Play("take b; put 2,3", pays=0, fires=(0,), is_dead=True),
        Play("1 take p; 1 put 2,7", pays=0, fires=(4,), is_dead=True),
    ],
    "two_machines_asymmetric": [
        Play(
            "take y; put 2,1; take 2,1; put 3,5; 1 take 3,5; 1 put 3,8; take p; put 4,1; take 4,1; put 3,5; "
            "1 take 3,5; 1 put 3,8",
            pays=98,
            fires=(1, 4, 3, 0),
        ),
        Play("take p; put 4,1; take 4,1; put 3,5; 1 take 3,5; 1 put 3,8", pays=0, fires=(3, 2), is_dead=True),
    ],
    "overcooked_cramped": [
        Play(
            "take 2,1; put 1,2; 1 take 2,5; 1 put 1,4; 1 take 3,5; 1 put 1,4; take d; put 1,2; take 1,2; put 4,3",
            pays=119,
            fires=(1, 5, 2, 4),
        ),
        Play("take 2,1; put 1,2; 1 take 2,5; 1 put 1,4; take d; put 1,2", pays=0, fires=(1, 5, 3), is_dead=True),
    ],
    "overcooked_forced": [
        Play(
            "1 go 3,4; take 2,1; put 3,3; 1 take 3,3; 1 put 2,4; take 3,1; put 3,3; 1 take 3,3; 1 put 2,4; "
            "take 5,2; put 3,3; 1 take 3,3; 1 put 2,4; take d; put 3,3; 1 take 3,3; 1 put 2,4; 1 take 2,4; "
            "1 put 4,4",
            pays=99,
            fires=(1, 5, 2, 4),
        ),
        Play(
            "1 go 3,4; take 2,1; put 3,3; 1 take 3,3; 1 put 2,4; take d; put 3,3; 1 take 3,3; 1 put 2,4; wait",
            pays=0,
            fires=(1, 0),
            is_dead=True,
        ),
    ],
    "overcooked_ring": [
        Play(
            "take 4,1; put 3,3; 1 take 3,3; 1 put 1,3; take 5,2; put 3,3; 1 take 3,3; 1 put 1,3; 1 take 3,5; "
            "1 put 1,3; take d; put 3,3; 1 take 3,3; 1 put 1,3; 1 take 1,3; 1 put 3,3; take 3,3; put 5,2",
            pays=88,
            fires=(1, 5, 2, 4),
        ),
        Play("1 take 3,5; 1 put 1,3; take d; put 3,3; 1 take 3,3; 1 put 1,3; wait", pays=0, fires=(1, 0), is_dead=True),
    ],
    "lemon_eater": [
        Play(
            "take 2,1; put 3,4; 1 take 3,4; wait 1; take 1,2; put 3,4; 1 take 3,4; wait 1; take 4,1; "
            "put 3,4; 1 take 3,4; wait 1; take 5,2; put 3,4; 1 take 3,4; wait 1",
            pays=4,
            fires=(1, 0),
        ),
        Play("take 2,1; wait", pays=0),
    ],
    "lemon_eater_and_maker": [
        Play(
            "take 1,2; put 2,1; take 2,1; put 3,4; 1 take 3,4; wait 1; take 5,3; put 2,1; take 2,1; put 3,4; "
            "1 take 3,4; wait 1; take 5,1; put 2,1; take 2,1; put 3,4; 1 take 3,4; wait 1",
            pays=3,
            fires=(2, 3, 1),
        ),
        Play(
            "take 1,2; put 3,4; 1 take 3,4; wait 1; take 5,3; put 3,4; 1 take 3,4; wait 1; take 5,1; "
            "put 3,4; 1 take 3,4; wait 1",
            pays=0,
            fires=(0,),
            is_dead=True,
        ),
    ],
    "lemon_eater_careful": [
        Play(
            "1 take L; 1 put 1,7; take 1,3; put 3,4; 1 take 3,4; wait 1; take 1,2; put 3,4; 1 take 3,4; "
            "wait 1; take 1,1; put 3,4; 1 take 3,4; wait 1",
            pays=3,
            fires=(2, 1),
        ),
        Play("take L; put 2,1; take 1,3; put 3,4; 1 take 3,4; wait", pays=0, fires=(0,), is_dead=True),
    ],
    "antimatter_for_two": [
        Play(
            "take 1,2; put 2,5; 1 take 2,5; 1 put 2,6; take 3,2; put 4,5; 1 take 4,5; 1 put 4,6; take 5,2; "
            "put 5,5; 1 take 5,5; 1 put 5,8",
            pays=71,
            fires=(0,),
        ),
        Play("take 1,2; put 2,5; 1 take 2,5; take 3,2; wait", pays=0),
    ],
    "antimatter_for_two_with_copies": [
        Play(
            "take b; put 2,4; 1 take 1,5; 1 put 1,6; 1 take 1,5; 1 put 3,8; 1 take 1,5; 1 put 5,8",
            pays=77,
            fires=(1, 0),
        ),
        Play("take b; put 3,5; 1 take 3,5; 1 put 1,6", pays=0, fires=(0,), is_dead=True),
    ],
    "antimatter_for_two_with_creation": [
        Play("take p; put 4,2; take 4,2; put 3,5; 1 take 3,5; 1 put 2,8", pays=81, fires=(2, 0)),
        Play("take p; put 3,2; take 3,2; put 3,5; 1 take 3,5; 1 put 2,6", pays=0, fires=(1, 0), is_dead=True),
    ],
    "crafting_pyramid_for_two": [
        Play(
            "take a; put 1,5; 1 take f; 1 put 1,6; take b; put 3,5; 1 take g; 1 put 3,6; take c; put 5,5; "
            "1 take h; 1 put 5,6; take d; put 7,5; 1 take e; 1 put 7,6; take 1,5; put 2,5; 1 take 7,5; "
            "1 put 6,5; take 2,5; put 4,5; 1 take 4,5",
            pays=134,
            fires=(4, 1, 6, 2, 5, 0, 3),
        ),
        Play("take a; put 1,5; 1 take e; 1 put 1,6; take b; put 3,5; 1 take f; 1 put 3,6", pays=0),
    ],
    "irreversible_production_for_two": [
        Play("take a; put 4,2; take 4,2; put 3,5; 1 take 3,5; 1 put 3,8; 1 take 3,8", pays=81, fires=(1, 2)),
        Play("take a; put 3,5; 1 take 3,5; 1 put 3,8", pays=0, fires=(0,), is_dead=True),
        Play("take y; put 3,5; 1 take 3,5; 1 put 3,8", pays=0, fires=(3,), is_dead=True),
    ],
    "wrong_pair_disappears_for_two": [
        Play("take p; put 3,5; 1 take 3,5; 1 put 2,8; 1 take 2,8", pays=66, fires=(0,)),
        Play("take p; put 3,5; 1 take 3,5; 1 put 4,8", pays=0, fires=(1,), is_dead=True),
    ],
    "wrong_pair_disappears_for_two_partly_hidden": [
        Play("take p; put 3,5; 1 take 3,5; 1 put 4,8; 1 take 4,8", pays=66, fires=(1,)),
        Play("take p; put 3,5; 1 take 3,5; 1 put 2,8", pays=0, fires=(0,), is_dead=True),
    ],
    "information_asymmetry": [
        Play("1 take p; 1 put 4,9", pays=44, fires=(1,)),
        Play("1 take y; 1 put 2,9", pays=0, fires=(0,), is_dead=True),
        Play("1 take k; 1 put 2,9", pays=0, fires=(2,), is_dead=True),
    ],
    "information_asymmetry_repeatable": [
        Play("1 take k; 1 put 2,9", pays=73, fires=(2,)),
        Play("1 take y; 1 put 2,9; 1 take p; 1 put 2,9; 1 take k; 1 put 2,9", pays=56, fires=(0, 1, 2)),
    ],
}
SCRIPTS["overcooked_ring_visible"] = SCRIPTS["overcooked_ring"]
SCRIPTS["overcooked_cramped_visible"] = SCRIPTS["overcooked_cramped"]
SCRIPTS["overcooked_forced_visible"] = SCRIPTS["overcooked_forced"]
SCRIPTS["irreversible_production_for_two_visible"] = SCRIPTS["irreversible_production_for_two"]

# What agent 0, and what agent 1, can never get beside: characters of the map.
APART = {
    "pass_over_the_wall_once": ("C", "b"),
    "pass_over_the_wall_repeatedly": ("B", "Ab"),
    "coordinated_exchange": ("p", "y"),
    "kickball": ("g", "b"),
    "combine_outputs": ("Bp", "Ay"),
    "two_machines": ("Bp", "Ab"),
    "two_machines_asymmetric": ("B", "Ayp"),
    "overcooked_forced": ("PS", "d"),
    "lemon_eater": ("", "y"),
    "lemon_eater_careful": ("", "y"),
    "lemon_eater_and_maker": ("", "kT"),
    "antimatter_for_two": ("K", "y"),
    "antimatter_for_two_with_creation": ("KY", "puv"),
    "antimatter_for_two_with_copies": ("KY", "bW"),
    "irreversible_production_for_two": ("u", "ay"),
    "wrong_pair_disappears_for_two": ("bc", "p"),
    "wrong_pair_disappears_for_two_partly_hidden": ("bc", "p"),
    "crafting_pyramid_for_two": ("efgh", "abcd"),
    "information_asymmetry": ("Wykp", ""),
    "information_asymmetry_repeatable": ("Wykp", ""),
}
