using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Grpc;
using Vmm.Machine;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.SnapshotService.</summary>
internal sealed class SnapshotService(MachineRegistry machines, PathPolicy paths)
{
    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(SnapshotReflection.Descriptor.Services[0])
        .Unary<SaveSnapshotRequest, SaveSnapshotResponse>("SaveSnapshot", SaveAsync)
        .Unary<RestoreSnapshotRequest, RestoreSnapshotResponse>("RestoreSnapshot", RestoreAsync)
        .Unary<ForkMachineRequest, ForkMachineResponse>("ForkMachine", ForkAsync);

    Task<SaveSnapshotResponse> SaveAsync(SaveSnapshotRequest request, ServerCallContext context)
    {
        var host = machines.Get(request.Machine);
        var path = paths.Resolve(request.Path, "path");
        return host.InvokeAsync(
            m =>
            {
                host.Require(MachineState.Created, MachineState.Paused, MachineState.Stopped);
                return new SaveSnapshotResponse { Bytes = Save(m, path) };
            },
            context.CancellationToken);
    }

    /// <summary>Writes beside the file first, so that nobody ever sees half a snapshot.</summary>
    static ulong Save(VirtualMachine machine, string path)
    {
        if (Path.Exists(path) && !IsSnapshot(path))
        {
            throw Errors.Precondition("FILE", "path", "there is something that is no snapshot: it is not replaced");
        }

        // A name that nobody has, and never through a link: the folder may be shared.
        var partial = $"{path}.{Guid.NewGuid():n}.partial";
        try
        {
            using (var file = new FileStream(partial, FileMode.CreateNew, FileAccess.Write, FileShare.None))
            {
                SnapshotFile.Save(machine, file);
            }

            File.Move(partial, path, true);
            return (ulong)new FileInfo(path).Length;
        }
        catch (Exception bad) when (bad is IOException or UnauthorizedAccessException)
        {
            // Not so where its folder is missing.
            if (File.Exists(partial))
            {
                File.Delete(partial);
            }

            throw Errors.Precondition("FILE", "path", "the host could not write the file");
        }
    }

    static bool IsSnapshot(string path)
    {
        try
        {
            // Pipes and devices have no length; opening a pipe would wait for a writer.
            if (new FileInfo(path) is not { Exists: true, Length: > 0 })
            {
                return false;
            }

            using var file = new FileStream(path, FileMode.Open, FileAccess.Read);
            return SnapshotFile.IsSnapshot(file);
        }
        catch (Exception bad) when (bad is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    async Task<RestoreSnapshotResponse> RestoreAsync(RestoreSnapshotRequest request, ServerCallContext context)
    {
        var reader = new SpecReader(paths);
        if (request.Name.Length != 0)
        {
            reader.Violations.Name(request.Name, "name");
        }

        var path = paths.Resolve(request.Path, "path");
        var spec = request.Devices ?? new();
        var (devices, _) = reader.Read(spec, "devices");
        var file = Open(path);
        var host = await reader.BuildingAsync(
            "devices", () => machines.AddAsync(request.Name, spec, Header(file).MemoryBytes, new SavedMachine(file, devices))).ConfigureAwait(false);
        return new() { Machine = await host.LookAsync(context).ConfigureAwait(false) };
    }

    static FileStream Open(string path)
    {
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: 0 })
            {
                throw Errors.Damaged("SNAPSHOT_DAMAGED", "the file is empty, or no regular file");
            }

            return new(path, FileMode.Open, FileAccess.Read);
        }
        catch (Exception bad) when (bad is IOException or UnauthorizedAccessException)
        {
            throw Errors.NotFound("snapshot", "path");
        }
    }

    static MachineConfig Header(FileStream file)
    {
        var config = SnapshotFile.ReadConfig(file);
        file.Position = 0;
        return config;
    }

    async Task<ForkMachineResponse> ForkAsync(ForkMachineRequest request, ServerCallContext context)
    {
        var violations = new Violations();
        violations.Require(request.Names.Count is >= 1 and <= 100, "names", "1 to 100");
        for (var i = 0; i < Math.Min(request.Names.Count, 100); i++)
        {
            violations.Name(request.Names[i], $"names[{i}]");
        }

        violations.Require(request.Names.Distinct().Count() == request.Names.Count, "names", "each name once");
        violations.Throw();
        var host = machines.Get(request.Machine);
        var frozen = await host.InvokeAsync(_ => Freeze(host), context.CancellationToken).ConfigureAwait(false);
        using var image = frozen.Now;
        using var boot = frozen.Boot;
        var response = new ForkMachineResponse();
        var made = new List<MachineHost>();
        try
        {
            foreach (var name in request.Names)
            {
                var origin = new ForkedMachine(host.Name, host.Console, frozen.State, image, boot);
                var fork = await new SpecReader(paths).BuildingAsync("machine", () => machines.AddAsync(name, host.Spec, host.MemoryBytes, origin)).ConfigureAwait(false);
                made.Add(fork);
                response.Machines.Add(await fork.LookAsync(context).ConfigureAwait(false));
            }

            return response;
        }
        catch
        {
            // All or none.
            foreach (var fork in made)
            {
                _ = fork.InvokeAsync(_ => { fork.Delete(); return 0; }, CancellationToken.None);
            }

            throw;
        }
    }

    static (MachineImage Now, MachineImage Boot, MachineState State) Freeze(MachineHost host)
    {
        host.Require(MachineState.Created, MachineState.Paused, MachineState.Stopped);
        var (now, boot, state) = host.Freeze();
        if (now.UnforkableDisk is >= 0 and var disk)
        {
            now.Dispose();
            throw Errors.Precondition("DISK", $"disks[{disk}]", $"disk {disk} writes to its file: use the overlay mode to fork");
        }

        return (now, boot.Share(), state);
    }
}
