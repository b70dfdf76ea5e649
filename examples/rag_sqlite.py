"""Questions answered from documents: load, split, embed, index into SQLite, search by meaning and by words, answer.

Needs no key and no network: the embedder is a fake one whose vectors depend on the words of a text, and the model's
answer comes from a cassette. `OpenAIEmbedder` and a model with a key take their places without another change. Run it
with `python examples/rag_sqlite.py`.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from eino import ChatTemplate, Document, Message, Source, system_message, user_message
from eino.ext.documents.loaders import DirectoryLoader
from eino.ext.documents.splitters import MarkdownHeaderSplitter
from eino.ext.models.openai import OpenAIChatModel
from eino.ext.retrievers.hybrid import HybridRetriever
from eino.ext.vectors.sqlite import SQLiteVectorStore
from eino_fixtures import FakeEmbedder, use_cassette

CASSETTE = Path(__file__).resolve().parents[1] / "fixtures/cassettes/openai/rag_answer.yaml"
QUESTION = "Until when is cancelling a tour free?"
FILES = {
    "terms.md": "# Terms\n\n## Paying\n\nTours are paid when they are booked.\n\n## Cancelling\n\nUntil seven days"
    " before the start, cancelling a tour is free. After that, half of the price is kept.\n",
    "tours.md": "# Tours\n\n## Fjord\n\nFour hours by boat, every day at nine.\n\n## Glacier\n\nEight hours on foot,"
    " with a guide. Boots and ropes are lent.\n",
    "faq.html": "<html><title>Questions</title><body><h1>May dogs come?</h1><p>Yes, on a lead.</p></body></html>",
}
PROMPT = ChatTemplate.from_messages(
    system_message("Answer from these notes only, and name the file that says so.\n\n{notes}"),
    user_message("{question}"),
)


async def index(folder: Path, store: SQLiteVectorStore) -> int:
    """Put all files of a folder into the store, in pieces; return how many pieces there are."""
    documents = await DirectoryLoader().load(Source(str(folder)))
    pieces = await MarkdownHeaderSplitter().transform(documents)
    return len(await store.store(pieces))


def as_notes(found: list[Document]) -> str:
    """Return the pieces as a model reads them."""
    return "\n\n".join(f"[{each.metadata['_file_name']}]\n{each.content}" for each in found)


async def ask(model: OpenAIChatModel, question: str) -> Message:
    """Index the files, find what belongs to the question, and let the model answer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "files"
        write_files(folder)
        async with SQLiteVectorStore(Path(name) / "index.db", FakeEmbedder(dim=256)) as store:
            print(f"{await index(folder, store)} pieces indexed")
            search = HybridRetriever({"vector": store, "keyword": store.keyword_retriever()}, top_k=2)
            found = await search.retrieve(question)
    for each in found:
        print(f"{each.score:.4f}  {each.metadata['_file_name']}  {each.metadata.get('h2', '-')}")
    return await model.generate(await PROMPT.format({"notes": as_notes(found), "question": question}))


def write_files(folder: Path) -> None:
    """Make the folder that is searched."""
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")


async def answer_question() -> str:
    """Ask the model of the cassette."""
    with use_cassette(CASSETTE):
        async with OpenAIChatModel(
            model="gpt-4o-mini", api_key="sk-not-a-real-key", base_url="https://api.openai.com/v1"
        ) as model:
            return (await ask(model, QUESTION)).content


def main() -> str:
    """Run the example and return the answer."""
    answer = asyncio.run(answer_question())
    print(answer)
    return answer


if __name__ == "__main__":
    main()
