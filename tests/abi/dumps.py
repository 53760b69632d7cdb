"""What the committed dumps of the ABI promise of the structs of both libraries."""
import os
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))


def promised():
    """{struct: (bytes, [(field, offset)])}"""
    structs = {}
    for dump in ("libprepack.abi", "libprepack-tokenizer.abi"):
        for one in ElementTree.parse(os.path.join(HERE, dump)).iter("class-decl"):
            if one.get("size-in-bits"):
                structs[one.get("name")] = (int(one.get("size-in-bits")) // 8, [
                    (member.find("var-decl").get("name"), int(member.get("layout-offset-in-bits")) // 8)
                    for member in one.findall("data-member")])
    return structs
