using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Vmm.Differential.Cases;

namespace Vmm.Differential.Native;

/// <summary>Runs cases on the host's processor, in a helper process that may crash instead of us.</summary>
[SupportedOSPlatform("linux")]
internal sealed unsafe class NativeRunner : ICaseRunner
{
    readonly string path;
    readonly MemoryMappedFile file;
    readonly MemoryMappedViewAccessor view;
    readonly byte* shared;
    HelperProcess helper;
    CaseBatch? running;

    public NativeRunner()
    {
        var folder = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
        path = Path.Combine(folder, $"native-cases-{Guid.NewGuid():N}");
        file = MemoryMappedFile.CreateFromFile(path, FileMode.CreateNew, null, SharedLayout.Bytes);
        view = file.CreateViewAccessor(0, SharedLayout.Bytes);
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref shared);
        helper = new HelperProcess(path);
    }

    public string Name => "host";

    public CaseState* Results => (CaseState*)(shared + SharedLayout.ResultsAt);

    public ReadOnlySpan<byte> SandboxPages => Pages;

    Span<byte> Pages => new(shared + SharedLayout.PagesAt, 4 * Sandbox.PageBytes);

    public void Start(CaseBatch batch)
    {
        SandboxContents.Fill(Pages);
        Copy(batch.Code, SharedLayout.CodeAt, (long)batch.SlotCount * Sandbox.SlotBytes);
        Copy((byte*)batch.States, SharedLayout.StatesAt, (long)batch.Count * CaseState.Bytes);
        *(int*)(shared + SharedLayout.CountAt) = batch.Count;
        running = batch;
        helper.Start();
    }

    public void Finish()
    {
        var batch = running!;
        try
        {
            helper.Finish();
        }
        catch (InvalidOperationException e)
        {
            var at = (int)((*(ulong*)(shared + SharedLayout.InputAt) - SharedLayout.Base - SharedLayout.StatesAt) / CaseState.Bytes);
            helper.Dispose();
            helper = new HelperProcess(path);
            var what = (uint)at < (uint)batch.Count ? batch.SequenceOf(at).ToString() : "?";
            throw new InvalidOperationException($"{e.Message} at case {at}: {what}", e);
        }
    }

    void Copy(byte* from, int to, long bytes) => Buffer.MemoryCopy(from, shared + to, bytes, bytes);

    public void Dispose()
    {
        helper.Dispose();
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        file.Dispose();
        File.Delete(path);
    }
}
